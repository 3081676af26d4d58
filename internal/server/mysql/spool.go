package mysql

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
)

// freeResults lets go of what clients have read. The engine writes the cells of a result into one buffer for the whole result, which
// doubles when it is full, and goes back to a pool at its full size: a client that reads ten million rows would have the server hold them
// all. A buffer of no bytes cannot double. Then each cell has memory of its own.
var freeResults = sync.OnceFunc(func() { sql.ByteBufPool.New = func() any { return sql.NewByteBuffer(0) } })
