package systab

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
)

// skinny is how dolt_diff() leaves columns out: those that are no part of the key, and in which no row differs.
type skinny struct {
	on      bool
	include []string // columns that stay all the same
}

// takeSkinny takes the flags of dolt_diff() out of its arguments. A list of columns goes on to the next flag, or has commas.
func takeSkinny(args []string) (s skinny, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		flag, val, has := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(flag, "-"):
			rest = append(rest, args[i])
		case (flag == "--skinny" || flag == "-sk") && !has:
			s.on = true
		case flag != "--include-cols" && flag != "-ic":
			return s, nil, errs.New(errs.Invalid, "dolt_diff: unknown flag %s", args[i])
		case has:
			s.include = append(s.include, strings.Split(val, ",")...)
		default:
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				s.include = append(s.include, strings.Split(args[i], ",")...)
			}
		}
	}
	return s, rest, nil
}

// shapes leaves columns out of the two shapes of a pair of tables; either may be nil, and then all columns stay.
func (s skinny) shapes(ctx *sql.Context, r chunk.Reader, a, b *table.Table, shapes [2]*shape) error {
	if !s.on || a == nil || b == nil {
		return nil
	}
	p, err := diff.NewPair(r, a, b)
	if err != nil {
		return err
	}
	cols, err := p.Skinny(ctx, p.Rows(ctx, diff.Options{}), s.include)
	if err != nil {
		return err
	}
	for side, at := range []func(diff.Column) int{func(k diff.Column) int { return k.From }, func(k diff.Column) int { return k.To }} {
		shapes[side].cols = slices.DeleteFunc(shapes[side].cols, func(c int) bool {
			return !slices.ContainsFunc(cols, func(k diff.Column) bool { return at(k) == c })
		})
	}
	return nil
}
