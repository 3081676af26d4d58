package engine

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/variables"

	"github.com/stemmadb/stemma/internal/engine/session"
)

// registered makes RegisterVariables act once: the engine's variables are those of the whole process.
var registered sync.Once

// RegisterVariables makes the engine's variables known and gives those that name a product their values.
func RegisterVariables() {
	registered.Do(func() {
		if sql.SystemVariables == nil {
			variables.InitSystemVariables()
		}
		variables.InitStatusVariables()
		session.RegisterCommonVariables()
	})
}
