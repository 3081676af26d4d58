package engine

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/go-mysql-server/sql/variables"
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
		sql.SystemVariables.AddSystemVariables(mergeVariables())
	})
}

// mergeVariables are Dolt's variables that steer merges: whether one with conflicts stays under autocommit, and whether documents merge.
func mergeVariables() []sql.SystemVariable {
	var out []sql.SystemVariable
	for _, name := range []string{"dolt_allow_commit_conflicts", "dolt_force_transaction_commit", "dolt_dont_merge_json"} {
		out = append(out, &sql.MysqlSystemVariable{
			Name: name, Scope: sql.GetMysqlScope(sql.SystemVariableScope_Both), Dynamic: true, Default: int8(0), Type: types.NewSystemBoolType(name),
		})
	}
	return out
}
