package fn

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// user is user() under one of its names: the name that the client has given and the host that it connects from. current_user(), which
// is the SQL engine's, is the account.
func user(name string) *spec {
	return &spec{
		name: name, about: "gives the user's name and the host that the client connects from", typ: types.LongText, effects: true,
		eval: func(ctx *sql.Context, _ []any) (any, error) {
			c := ctx.Client()
			if c.User == "" && c.Address == "" {
				return "", nil
			}
			host := c.Address
			if s, ok := ctx.Session.(interface{ ClientHost() string }); ok {
				host = s.ClientHost()
			}
			return c.User + "@" + host, nil
		},
	}
}
