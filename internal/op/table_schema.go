package op

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// createAs makes the table by the statement in the file of --schema, in place of one of that name.
func (i *importing) createAs(ctx context.Context) error {
	file := i.c.Schema
	data, err := vfs.ReadFile(i.s.fs(), i.s.path(file))
	if err != nil {
		return errs.New(errs.CodeOf(err), "read %s: %w", file, err)
	}
	if i.s.Evaluate == nil { // a process beside the owner has no engine
		return repo.ErrOwnerOnly
	}
	before, err := i.tx.TableNames(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(before, i.table) {
		if err := i.tx.DropTable(ctx, i.table); err != nil {
			return err
		}
		before = slices.DeleteFunc(before, func(name string) bool { return name == i.table })
	}
	err = i.s.Evaluate(ctx, i.tx, string(data), func(_ string, err error) error { return errs.With(errs.Invalid, err) })
	if err != nil {
		return errs.New(errs.CodeOf(err), "run %s: %w", file, err)
	}
	after, err := i.tx.TableNames(ctx)
	if err != nil {
		return err
	}
	made := slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) })
	if len(made) != 1 || len(after) != len(before)+1 {
		return errs.New(errs.Invalid, "%s is to have a CREATE TABLE statement, and no other", file)
	}
	if !strings.EqualFold(made[0], i.table) {
		return errs.New(errs.Invalid, "the statement in %s makes the table '%s', and not '%s'", file, made[0], i.table)
	}
	if i.base, err = i.tx.FoldTable(ctx, made[0]); err != nil {
		return err
	}
	i.table = made[0]
	if i.c.Continue {
		i.onDup = table.IgnoreDuplicate
	}
	return i.match()
}
