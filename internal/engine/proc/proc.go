package proc

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The prefixes of the procedures' names.
const (
	prefixDolt = "dolt_"
	prefix     = "stemma_"
)

// Set is the procedures of a set of verbs.
type Set struct {
	version string
	byName  map[string]op.Spec // by procedure
	names   []string           // of the procedures, in the order of the verbs

	// Dropped are the databases that DROP DATABASE has set aside; nil when nothing can be dropped. It is set before the first Call.
	Dropped op.DroppedDatabases

	// Making makes databases for verbs. It is set before the first Call; nil lets no verb make any.
	Making op.MadeDatabases

	// Ask answers queries for verbs that need them: see op.Scope.Ask. It is set before the first Call; nil lets no verb ask.
	Ask func(ctx context.Context, r *repo.Repo, query string) iter.Seq2[[]value.Cell, error]

	// Evaluate runs statements for a verb, with the rights of the account user@host; nil lets no verb evaluate SQL. It is set before the first Call.
	Evaluate func(ctx context.Context, user, host string, tx *repo.Tx, query string, failed func(statement string, err error) error) error
}

// New makes procedures of those of the verbs that work on a database or on a server; version is the program's.
func New(specs []op.Spec, version string) *Set {
	s := &Set{version: version, byName: map[string]op.Spec{}}
	for _, spec := range specs {
		name, ok := spec.Procedure()
		if !ok {
			continue
		}
		for _, name := range append([]string{name}, spec.Call...) {
			for _, p := range []string{prefixDolt, prefix} {
				s.byName[p+name] = spec
				s.names = append(s.names, p+name)
			}
		}
	}
	return s
}

// Procedures are the set as the engine wants it.
func (s *Set) Procedures() []sql.ExternalStoredProcedureDetails {
	out := make([]sql.ExternalStoredProcedureDetails, 0, len(s.names))
	for _, name := range s.names {
		spec := s.byName[name]
		out = append(out, sql.ExternalStoredProcedureDetails{
			Name: name, Schema: schemaOf(name, spec.Name), ReadOnly: spec.ReadOnly, AdminOnly: spec.Admin || spec.Needs != op.NeedDatabase || filesOf(spec),
			Function: func(ctx *sql.Context, args ...string) (sql.RowIter, error) {
				return s.Rows(ctx, name, args)
			},
		})
	}
	return out
}

// filesOf tells whether the verb takes paths, which are those of the server: only an administrator may use it.
func filesOf(spec op.Spec) bool {
	for i := range spec.Params {
		if c := spec.Params[i].Complete; c == "file" || c == "dir" {
			return true
		}
	}
	return false
}

// Names are the names of the procedures.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Rows is Call with an iterator.
func (s *Set) Rows(ctx *sql.Context, name string, args []string) (sql.RowIter, error) {
	rows, err := s.Call(ctx, name, args...)
	if err != nil {
		return nil, err
	}
	return sql.RowsToRowIter(rows...), nil
}

// Call runs a procedure on the current database of the session and returns its rows, which are at least one for the verbs whose
// columns are known. The error of an unknown name is of class NotFound.
func (s *Set) Call(ctx *sql.Context, name string, args ...string) ([]sql.Row, error) {
	name = strings.ToLower(name)
	spec, ok := s.byName[name]
	if !ok {
		return nil, errs.New(errs.NotFound, "call %s: there is no such procedure", name)
	}
	if len(args) == 0 && (name == "dolt_remote" || name == "dolt_backup") { // as in Dolt: what they would list are tables
		return nil, session.Error(errs.New(errs.Invalid, "%[1]s: invalid argument, use '%[1]ss' system table to list %[2]ss", name, spec.Name))
	}
	verb, err := op.BindArgs(spec, args)
	if err != nil {
		return nil, session.Error(err)
	}
	sess, err := registry.SessionOf(ctx)
	if err != nil {
		return nil, err
	}
	if sess.Pinned() && !spec.ReadOnly {
		return nil, session.Error(errs.New(errs.Unsupported, "%s cannot be used here: the statements change the tables of one state, and no more", name))
	}
	if making[spec.Name] {
		scope, err := s.serverScope(ctx, sess, strings.HasPrefix(name, prefixDolt))
		if err != nil {
			return nil, session.Error(err)
		}
		return s.run(ctx, spec, verb, sess, scope)
	}
	if spec.Needs == op.NeedServer {
		return s.run(ctx, spec, verb, sess, &op.Scope{Dropped: s.Dropped, Dolt: strings.HasPrefix(name, prefixDolt), Version: s.version})
	}
	db, err := sess.Database(ctx, "")
	if err != nil {
		return nil, err
	}
	if !spec.ReadOnly && (db.Branch() == "" || db.Repo().ReadOnly()) {
		return nil, session.Error(errs.New(errs.ReadOnly, "call %s: database %s cannot be written", name, db.Name()))
	}
	scope, err := s.scope(ctx, sess, db, strings.HasPrefix(name, prefixDolt))
	if err != nil {
		return nil, session.Error(err)
	}
	if spec.Name == "backup" { // it restores, too
		scope.Making = s.Making
	}
	if within[spec.Name] && (sess.GetIgnoreAutoCommit() || !session.IsOn(ctx, "autocommit")) {
		if rows, done, err := s.runWithin(ctx, spec, verb, db, scope); done || err != nil {
			return rows, session.Error(err)
		}
	}
	if spec.Name == "commit" {
		if rows, done, err := s.runEnding(ctx, spec, verb, sess, scope); done {
			return rows, err
		}
	}
	return s.run(ctx, spec, verb, sess, scope)
}

// runEnding runs a verb that ends the session's transaction by its own record. When it has not ended it, nothing has changed and done is false: to
// run it outside of the transaction says why.
func (s *Set) runEnding(ctx *sql.Context, spec op.Spec, verb op.Op, sess registry.Session, scope *op.Scope) (rows []sql.Row, done bool, err error) {
	inside := *scope
	done, err = sess.EndWith(ctx, scope.Repo, scope.Branch, func(ctx *sql.Context, tx *repo.Tx) error {
		inside.Tx = tx
		rows, err = answer(ctx, spec, verb, &inside)
		return err
	})
	return rows, done, session.Error(err)
}

// answer runs a verb; its rows are those of a procedure.
func answer(ctx *sql.Context, spec op.Spec, verb op.Op, scope *op.Scope) ([]sql.Row, error) {
	r, err := op.Run(ctx, verb, scope)
	if errs.Is(err, errs.Conflict) {
		return nil, errors.New(err.Error()) // not a deadlock, which clients would try again
	}
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &op.Result{}
	}
	if err := r.Collect(); err != nil {
		return nil, err
	}
	for _, h := range r.Hints {
		ctx.Warn(hintCode, "%s", h)
	}
	return rowsOf(spec.Name, r), nil
}

// making are the verbs that make databases.
var making = map[string]bool{"clone": true, "backup restore": true}

// serverScope is what such a verb runs in.
func (s *Set) serverScope(ctx *sql.Context, sess registry.Session, dolt bool) (*op.Scope, error) {
	if s.Making == nil {
		return nil, errs.New(errs.Unsupported, "this server makes no databases")
	}
	files, err := session.FilesDir()
	if err != nil {
		return nil, err
	}
	author, err := sess.Author(ctx)
	if err != nil {
		return nil, err
	}
	return &op.Scope{
		FS: vfs.OS{}, Files: files, Making: s.Making, Dolt: dolt, Version: s.version, Clock: clock.System{}, Author: op.Author{Name: author.Name, Email: author.Email},
	}, nil
}

// within are the verbs that work in a transaction of several statements when they leave something to be resolved, or resolve it.
var within = map[string]bool{"merge": true, "cherry-pick": true, "revert": true, "conflicts resolve": true}

// runWithin runs a verb in the session's transaction. When it cannot be done there, done is false and nothing has changed.
func (s *Set) runWithin(ctx *sql.Context, spec op.Spec, verb op.Op, db registry.Handle, scope *op.Scope) (rows []sql.Row, done bool, err error) {
	inside := *scope
	var failed error
	err = db.Change(ctx, func(tx *repo.Tx) error {
		inside.Tx = tx
		var r *op.Result
		if r, failed = verb.Run(ctx, &inside); failed != nil {
			return failed
		}
		if failed = r.Collect(); failed == nil {
			rows = rowsOf(spec.Name, r)
		}
		return failed
	})
	switch {
	case failed == op.ErrOutside:
		return nil, false, nil
	case errs.Is(failed, errs.Conflict):
		return nil, false, errors.New(failed.Error()) // as in run
	case failed != nil:
		return nil, false, failed
	}
	return rows, err == nil, err
}

// run runs a verb outside of the session's transaction.
func (s *Set) run(ctx *sql.Context, spec op.Spec, verb op.Op, sess registry.Session, scope *op.Scope) ([]sql.Row, error) {
	var rows []sql.Row
	err := sess.Outside(ctx, func(ctx *sql.Context) (err error) {
		rows, err = answer(ctx, spec, verb, scope)
		return err
	})
	return rows, session.Error(err)
}

// hintCode is MySQL's number of a note without a number of its own.
const hintCode = 1105

// scope is what a verb runs in: the session's database, branch and author.
func (s *Set) scope(ctx *sql.Context, sess registry.Session, db registry.Handle, dolt bool) (*op.Scope, error) {
	r := db.Repo()
	author, err := sess.Author(ctx)
	if err != nil {
		return nil, err
	}
	committer, err := sess.Committer(ctx)
	if err != nil {
		return nil, err
	}
	sc := &op.Scope{
		Dir: filepath.Dir(r.Dir()), FS: r.FS(), Repo: r, Branch: db.Branch(), Clock: r.Clock(), Dolt: dolt, Version: s.version,
		Author: op.Author{Name: author.Name, Email: author.Email}, AuthorTime: author.Time,
		Committer: op.Author{Name: committer.Name, Email: committer.Email}, CommitterTime: committer.Time,
		Settings: op.Settings{Local: filepath.Join(r.Dir(), "config")}, Ask: s.Ask,
	}
	if sc.Files, err = session.FilesDir(); err != nil {
		return nil, err
	}
	sc.RefuseViolations = !sess.GetIgnoreAutoCommit() && session.IsOn(ctx, "autocommit") && !session.IsOn(ctx, "dolt_force_transaction_commit")
	sc.RefuseConflicts = sc.RefuseViolations && !session.IsOn(ctx, "dolt_allow_commit_conflicts")
	sc.NoMergeJSON = session.IsOn(ctx, "dolt_dont_merge_json")
	if s.Evaluate != nil {
		sc.Evaluate = func(ctx context.Context, tx *repo.Tx, query string, failed func(statement string, err error) error) error {
			c := sess.Client()
			return s.Evaluate(ctx, c.User, c.Address, tx, query, failed)
		}
	}
	sc.InUse = func(branch string) bool { return sess.InUse(r, branch) }
	sc.Switch = func(_ context.Context, branch string) error { return sess.SwitchBranch(ctx, db.Base(), branch) }
	sc.Previous = func() string { return sess.PreviousBranch(db.Base()) }
	return sc, nil
}
