package mysql

import "github.com/dolthub/go-mysql-server/sql"

// The engine writes the cells of a result into one buffer for the whole result, which doubles when it is full, and goes back to the pool
// at its full size: a client that reads ten million rows would have the server hold them all. A buffer of no bytes cannot double. Then
// each cell has memory of its own, and what a client has read is free.
func init() { sql.ByteBufPool.New = func() any { return sql.NewByteBuffer(0) } }
