// Package registry is where the SQL engine is told of what lies above its tables: system tables, functions, table functions and
// procedures. It also defines how those see the database and the session that they are used from, so that they need to know no
// part of the engine.
package registry

import (
	"context"
	"sort"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// Reader is a database's tables at one moment. *repo.Tx and *repo.Snapshot are Readers.
type Reader interface {
	// Table is the view of the table and its name as written; ok is false when there is none.
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
	// TableNames is the names of the tables, in the order of their lower-case forms.
	TableNames(ctx context.Context) ([]string, error)
}

var (
	_ Reader = (*repo.Tx)(nil)
	_ Reader = (*repo.Snapshot)(nil)
)

// Handle is a database as a session names it: the working set of a branch within the session's transaction, or a commit. It is
// good for one statement.
type Handle interface {
	// Name is the name that was asked for, such as "prices" or "prices/main".
	Name() string
	// Base is the name without a revision.
	Base() string
	// Repo is the database.
	Repo() *repo.Repo
	// Branch is the branch that the name means; "" when it means a commit.
	Branch() string
	// Head is the commit that the name means, or that the branch has in the session's transaction.
	Head(ctx *sql.Context) (history.CommitID, error)
	// Reader is the tables as the session sees them now: with its uncommitted changes when the name means a branch.
	Reader(ctx *sql.Context) (Reader, error)
	// At is the tables at a revision, which is resolved from Branch: a ref, a hash, a time, HEAD, WORKING (as Reader) or STAGED.
	// The commit is zero for WORKING and STAGED.
	At(ctx *sql.Context, revision string) (Reader, history.CommitID, error)
	// Tx is the session's transaction on the branch; an error of class ReadOnly when the database cannot be written.
	Tx(ctx *sql.Context) (*repo.Tx, error)
	// Change lets fn change tables as a whole in the session's transaction. When fn fails its changes are taken back.
	Change(ctx *sql.Context, fn func(tx *repo.Tx) error) error
}

// Session is a client's session.
type Session interface {
	sql.Session
	// Database is a database by name, with or without a revision; "" is the current one.
	Database(ctx *sql.Context, name string) (Handle, error)
	// ActiveBranch is the branch that the bare name of the database means in this session.
	ActiveBranch(ctx *sql.Context, base string) (string, error)
	// SwitchBranch makes the bare name of the database mean another branch of it. The session's transaction is committed first.
	SwitchBranch(ctx *sql.Context, base, branch string) error
	// PreviousBranch is the branch that the bare name of the database meant before SwitchBranch; "" when there was none.
	PreviousBranch(base string) string
	// InUse tells whether a session of another client is on the branch.
	InUse(r *repo.Repo, branch string) bool
	// Outside commits the session's SQL transaction, so that its changes are in the working sets, runs fn, and begins anew: what
	// fn does to refs and working sets is seen by the statements after it. It is how version-control operations run.
	Outside(ctx *sql.Context, fn func(ctx *sql.Context) error) error
	// EndWith lets fn end the session's SQL transaction by a commit of its own, on the only branch that it has changed, which must be that of r; after
	// it the session begins anew, as after Outside. done is false, and the transaction as it was, when there is nothing to end so, and when fn fails
	// and has not ended it.
	EndWith(ctx *sql.Context, r *repo.Repo, branch string, fn func(ctx *sql.Context, tx *repo.Tx) error) (done bool, err error)
	// Pinned tells whether the session works on a transaction that another ends, which version-control operations would leave.
	Pinned() bool
	// Select runs a query within the present statement, as it sees the database, and reads the whole answer. A statement that may
	// change something, or several statements, is an error of class Invalid.
	Select(ctx *sql.Context, query string) (sql.Schema, []sql.Row, error)
	// Author and Committer are who the commits of this session are by. Their Time is zero, for the time of the commit, unless the
	// session has set one.
	Author(ctx *sql.Context) (history.Signature, error)
	Committer(ctx *sql.Context) (history.Signature, error)
}

// SessionOf is the session of a statement; an error when the statement runs outside one of ours.
func SessionOf(ctx *sql.Context) (Session, error) {
	s, ok := ctx.Session.(Session)
	if !ok {
		return nil, errs.New(errs.Internal, "the session is a %T, not one of this database", ctx.Session)
	}
	return s, nil
}

// Effective is an expression that may change something when it is evaluated.
type Effective interface {
	sql.Expression
	// HasEffects tells whether it may.
	HasEffects() bool
}

// TableCtor makes a system table; ok is false when the database has none of that name. name is as it was asked for.
type TableCtor func(ctx *sql.Context, db Handle, name string) (t sql.Table, ok bool, err error)

// SystemTables are tables that are not kept but computed.
type SystemTables struct {
	Exact  map[string]TableCtor // by lower-case name
	Prefix map[string]TableCtor // by lower-case beginning of the name; the longest that fits is asked
}

// Lookup finds the constructor for a name.
func (s *SystemTables) Lookup(name string) (TableCtor, bool) {
	l := strings.ToLower(name)
	if c, ok := s.Exact[l]; ok {
		return c, true
	}
	best := ""
	for p := range s.Prefix {
		if strings.HasPrefix(l, p) && len(p) > len(best) && len(p) < len(l) {
			best = p
		}
	}
	c, ok := s.Prefix[best]
	return c, ok
}

// Names is the names of the tables that always exist, sorted.
func (s *SystemTables) Names() []string {
	out := make([]string, 0, len(s.Exact))
	for n := range s.Exact {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Narrower is a table function that need not make all its columns.
type Narrower interface {
	sql.Node
	// Using is the function with rows of which only the columns are read for whose names used is true: others may be NULL. It is nil
	// when that saves nothing.
	Using(used func(name string) bool) sql.Node
}

// Registries are everything that is plugged into an engine.
type Registries struct {
	SystemTables   SystemTables
	Functions      []sql.Function
	TableFunctions []sql.TableFunction
	Procedures     []sql.ExternalStoredProcedureDetails // names in lower case
	// Reshaped is the table of a commit under the columns that it has at another revision; ok is false when the commit has none of
	// that name. Nil leaves tables as they are.
	Reshaped func(ctx *sql.Context, db Handle, commit history.CommitID, name, revision string) (t sql.Table, ok bool, err error)
}
