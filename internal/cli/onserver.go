package cli

import (
	"context"
	"errors"
	"strings"

	client "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/server/mysql"
)

// onServer performs a verb that works on all databases in a directory.
func (p *Program) onServer(ctx context.Context, spec op.Spec, verb op.Op, scope *op.Scope) (r *op.Result, err error) {
	err = p.owning(ctx, func() error {
		h, err := p.holdAll(ctx, scope.Dir, listening{})
		if err != nil {
			return err
		}
		scope.Dropped = h.engine.Provider()
		r, err = op.Run(ctx, verb, scope)
		return settled{errors.Join(err, h.close(ctx))}
	}, func() error {
		s, err := p.openSQL(ctx, scope, "")
		if err != nil {
			return err
		}
		call, err := callOf(spec, verb)
		if err == nil {
			var a *sqlAnswer
			if a, err = s.query(ctx, call); err == nil {
				err = a.close()
			}
			if err != nil {
				err = errs.New(classOf(err), "%s", sqlMessage(err))
			}
		}
		return errors.Join(err, s.end(ctx))
	})
	return r, err
}

// callOf is the CALL of a verb that takes arguments only.
func callOf(spec op.Spec, verb op.Op) (string, error) {
	name, _ := spec.Procedure()
	var args []string
	switch v := verb.(type) {
	case *op.Undrop:
		args = v.Args
	case *op.PurgeDroppedDatabases:
	default:
		return "", errs.New(errs.Internal, "%s: cannot be asked of another process", spec.Name)
	}
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(a) + "'"
	}
	return "call stemma_" + name + "(" + strings.Join(quoted, ", ") + ")", nil
}

// classOf is the class of an error that a server has given a number.
func classOf(err error) errs.Code {
	var e *client.MySQLError
	if !errors.As(err, &e) {
		return errs.CodeOf(err)
	}
	if c, ok := mysql.Class(int(e.Number)); ok {
		return c
	}
	return errs.Invalid
}
