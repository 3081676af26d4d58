package systab

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"github.com/stemmadb/stemma/internal/history"
)

// Columns of system tables. A key column is shown as part of the primary key.

func textKey(name string) *sql.Column {
	return &sql.Column{Name: name, Type: types.Text, PrimaryKey: true}
}

func text(name string) *sql.Column { return &sql.Column{Name: name, Type: types.Text} }

func textNull(name string) *sql.Column {
	return &sql.Column{Name: name, Type: types.Text, Nullable: true}
}

// word and wordNull are columns of few characters: names, hashes, kinds.
func word(name string) *sql.Column { return &sql.Column{Name: name, Type: words} }

func wordNull(name string) *sql.Column { return &sql.Column{Name: name, Type: words, Nullable: true} }

var words = types.MustCreateString(sqltypes.VarChar, 1023, sql.Collation_Default)

// moment columns keep the microseconds of a commit's time; they are UTC.
func at(name string) *sql.Column { return &sql.Column{Name: name, Type: types.DatetimeMaxPrecision} }

func atNull(name string) *sql.Column {
	return &sql.Column{Name: name, Type: types.DatetimeMaxPrecision, Nullable: true}
}

func flag(name string) *sql.Column { return &sql.Column{Name: name, Type: types.Boolean} }

func count(name string) *sql.Column {
	return &sql.Column{Name: name, Type: types.Int64, Nullable: true}
}

// flagOf is a value of a flag column.
func flagOf(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

// when is a commit's time as a value.
func when(t time.Time) time.Time { return t.UTC() }

// metadata is the column of a commit's structured metadata, which goes beyond Dolt.
func metadata() *sql.Column { return &sql.Column{Name: "metadata", Type: types.JSON, Nullable: true} }

// metadataOf is its value.
func metadataOf(ctx *sql.Context, c *history.Commit) (any, error) {
	if c.Meta == "" {
		return nil, nil
	}
	v, _, err := types.JSON.Convert(ctx, c.Meta)
	return v, err
}
