package systab

import (
	"context"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// logArgs are the arguments of dolt_log(): revisions, and flags as `dolt log` has them.
type logArgs struct {
	revisions, not []string
	tables         []string
	minParents     int
	decorate       string
	limit          int // -1 for none
}

func parseLogArgs(args []string) (*logArgs, error) {
	a := &logArgs{decorate: "short", limit: -1}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			if r, ok := strings.CutPrefix(arg, "^"); ok {
				a.not = append(a.not, r)
			} else {
				a.revisions = append(a.revisions, arg)
			}
			continue
		}
		flag, val, has := strings.Cut(arg, "=")
		takes := func() (string, error) {
			if !has {
				if i++; i >= len(args) {
					return "", errs.New(errs.Invalid, "dolt_log: %s needs a value", flag)
				}
				val = args[i]
			}
			return val, nil
		}
		number := func() (int, error) {
			v, err := takes()
			if err != nil {
				return 0, err
			}
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return 0, errs.New(errs.Invalid, "dolt_log: %s needs a number, not %q", flag, v)
			}
			return n, nil
		}
		var err error
		switch flag {
		case "--merges":
			a.minParents = 2
		case "--parents", "--show-signature":
			// These columns are always there.
		case "--min-parents":
			a.minParents, err = number()
		case "-n", "--number", "--limit":
			a.limit, err = number()
		case "--decorate":
			if a.decorate, err = takes(); err == nil && a.decorate != "short" && a.decorate != "full" && a.decorate != "no" && a.decorate != "auto" {
				err = errs.New(errs.Invalid, "dolt_log: --decorate is short, full, auto or no, not %q", a.decorate)
			}
		case "--not":
			// All that follow up to the next flag.
			if has {
				a.not = append(a.not, val)
			}
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				a.not = append(a.not, args[i])
			}
		case "--tables", "-t":
			if has {
				a.tables = append(a.tables, strings.Split(val, ",")...)
			}
			for i+1 < len(args) && !has && !strings.HasPrefix(args[i+1], "-") {
				i++
				a.tables = append(a.tables, strings.Split(args[i], ",")...)
			}
		default:
			err = errs.New(errs.Invalid, "dolt_log: unknown flag %s", flag)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// logFunction is dolt_log([revisions…] [flags…]): as dolt_log, of the commits that some revisions reach and others do not.
func logFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	a, err := parseLogArgs(args)
	if err != nil {
		return nil, err
	}
	resolve := func(rev string) (history.CommitID, error) {
		_, id, err := db.At(ctx, orHead(rev))
		if err == nil && id.IsZero() {
			err = errs.New(errs.Invalid, "dolt_log: %s is not a commit", rev)
		}
		return id, err
	}
	var from, not []history.CommitID
	add := func(list *[]history.CommitID, rev string) error {
		id, err := resolve(rev)
		*list = append(*list, id)
		return err
	}
	for _, rev := range a.revisions {
		x, y, three, ok := dotted(rev)
		switch {
		case !ok:
			err = add(&from, rev)
		case three:
			if err = add(&from, x); err == nil {
				err = add(&from, y)
			}
			if err == nil {
				var base history.CommitID
				if base, err = history.MergeBase(ctx, db.Repo().Store(), from[len(from)-2], from[len(from)-1]); err == nil && !base.IsZero() {
					not = append(not, base)
				}
			}
		default:
			if err = add(&from, y); err == nil {
				err = add(&not, x)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for _, rev := range a.not {
		if err := add(&not, rev); err != nil {
			return nil, err
		}
	}
	if len(from) == 0 {
		if err := add(&from, "HEAD"); err != nil {
			return nil, err
		}
	}
	return &call{rows: func(ctx *sql.Context) (sql.RowIter, error) {
		next, err := commitsFrom(ctx, db.Repo(), from, not, nil)
		if err != nil {
			return nil, err
		}
		refs, err := refNames(ctx, db, a.decorate)
		if err != nil {
			return nil, err
		}
		left := a.limit
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			for left != 0 {
				c, err := next(ctx)
				if err != nil || c == nil {
					return nil, orEOF(err)
				}
				if len(c.Parents) < a.minParents {
					continue
				}
				if ok, err := touches(ctx, db, c, a.tables); err != nil {
					return nil, err
				} else if !ok {
					continue
				}
				left--
				return logRow(ctx, c, refs)
			}
			return nil, orEOF(nil)
		}), nil
	}}, nil
}

// touches tells whether a commit changed one of the tables against its first parent; any commit does when there are no tables.
func touches(ctx context.Context, db registry.Handle, c *history.Commit, tables []string) (bool, error) {
	if len(tables) == 0 {
		return true, nil
	}
	ds, err := commitDeltas(ctx, db, c, "")
	if err != nil {
		return false, err
	}
	for i := range ds {
		for _, t := range tables {
			if ds[i].Is(t) {
				return true, nil
			}
		}
	}
	return false, nil
}
