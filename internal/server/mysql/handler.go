package mysql

import (
	"github.com/dolthub/go-mysql-server/server"
	vitess "github.com/dolthub/vitess/go/mysql"
)

// handler is what the protocol calls for every command of a client. It is the engine's own; commands that can be answered without
// the engine's parser and planner are overridden here.
type handler struct {
	*server.Handler
}

var (
	_ vitess.Handler              = (*handler)(nil)
	_ vitess.ExtendedHandler      = (*handler)(nil)
	_ vitess.BinlogReplicaHandler = (*handler)(nil)
)

// wrap makes the server's handler ours.
func wrap(h vitess.Handler) (vitess.Handler, error) {
	gms, ok := h.(*server.Handler)
	if !ok {
		return h, nil
	}
	return &handler{gms}, nil
}
