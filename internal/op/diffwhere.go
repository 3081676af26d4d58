package op

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
)

// changeSeq are changed rows. It can be read more than once.
type changeSeq = iter.Seq2[diff.Change, error]

// changes are the changed rows of a table that --filter and --where keep.
func (c *Diff) changes(ctx context.Context, s *Scope, d *diff.Delta, pair *diff.Pair, from, to side) (changeSeq, error) {
	var kept []bool
	if c.Where != "" {
		var err error
		if kept, err = c.kept(ctx, s, d.Name(), from, to); err != nil {
			return nil, err
		}
	}
	return func(yield func(diff.Change, error) bool) {
		n := 0
		for ch, err := range pair.Rows(ctx, diff.Options{}) {
			if err != nil {
				yield(ch, err)
				return
			}
			n++
			if kept != nil && n > len(kept) {
				break
			}
			if kept != nil && !kept[n-1] || c.Filter != "" && c.Filter != ch.Type.String() {
				continue
			}
			if !yield(ch, nil) {
				return
			}
		}
		if kept != nil && n != len(kept) {
			yield(diff.Change{}, errs.New(errs.Conflict, "%s: table %s changed while --where was evaluated; try again", c.name(), d.Name()))
		}
	}, nil
}

// kept tells of each changed row of a table whether the condition of --where holds. It is asked of the table function dolt_diff, whose
// rows are those of diff.Pair.Rows, in their order.
func (c *Diff) kept(ctx context.Context, s *Scope, table string, from, to side) ([]bool, error) {
	text := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(v) + "'" }
	kept := []bool{}
	query := fmt.Sprintf("select (%s\n) is true from dolt_diff(%s, %s, %s)", c.Where, text(from.name), text(to.name), text(table))
	for row, err := range s.Query(ctx, query) {
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s: --where %s: %w", c.name(), c.Where, err)
		}
		v := fmt.Sprint(row[0])
		kept = append(kept, v == "1" || v == "true")
	}
	return kept, nil
}
