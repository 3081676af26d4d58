// Package session is a client's session with the SQL engine: its transaction over the branches that it uses, what the bare name of
// a database means in it, its temporary tables, its version-control variables and its prepared statements.
//
// A transaction begins with a statement and costs nothing until a table is used: then the branch is pinned as it is at that moment
// (a Part). Marks of a statement and savepoints are moments of all parts together.
package session

import (
	"context"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// Databases finds the databases that a session can use.
type Databases interface {
	// Lookup is the open database of that name, matched without case; '_' matches '-' where no database has the name itself.
	// Its canonical name is that of its directory.
	Lookup(name string) (r *repo.Repo, canonical string, ok bool)
	// DefaultBranch is the branch that new sessions work on.
	DefaultBranch(canonical string) string
	// Refusal says why a database that Lookup does not find is not served although it is there; nil when it is not there.
	Refusal(name string) error
}

// Options are what a session needs to know.
type Options struct {
	Databases Databases
	// Author makes the commits of the session; when its name is empty it is made of the client's user and host.
	Author history.Signature
	// Client is the host that the client connects from; "" is that of its account.
	Client string
	// Active is where the session is listed until it ends; nil for nowhere.
	Active *Active
	// Query answers a query that changes nothing; nil where sessions run none within another.
	Query func(ctx *sql.Context, query string) (sql.Schema, sql.RowIter, error)
}

// Session is a client's session. Like all sessions of the engine it serves one statement at a time.
type Session struct {
	*sql.BaseSession
	opt      Options
	headMu   sync.Mutex      // guards heads and used: other sessions ask which branch this one is on
	heads    map[string]head // by canonical lower-case name: what the bare name of a database means
	used     string          // the name that was last told to USE
	tempMu   sync.Mutex
	temp     map[string]*repo.Repo // of temporary tables, by canonical lower-case name
	prepared *statements
	cached   *statements
	local    map[any]any

	duplicate string // see SetDuplicate
	statement uint64 // see Begins
	digits    []uint8
	pinned    *repo.Tx // see Pin
	run       lineage.Current
	readsIn   *repo.ReadsIn  // where reads of the run are recorded; nil before the first
	active    *repo.Activity // of the branch that the session worked on last; nil for none yet
	asking    asked          // see AskAsOf
	views     int            // see OpensView
}

// Pin makes the session work on a transaction that another has begun, and that stays his to end, wherever it would begin one on that
// branch: what its statements commit is in the transaction, what they roll back is not.
func (s *Session) Pin(tx *repo.Tx) { s.pinned = tx }

// Pinned implements registry.Session.
func (s *Session) Pinned() bool { return s.pinned != nil }

// Begins tells whether a statement, by its number in the process list, is another than the one before.
func (s *Session) Begins(statement uint64) bool {
	if s.statement == statement {
		return false
	}
	s.statement = statement
	return true
}

// SetDigits takes note of the fraction digits of the timestamps among the columns of the statement's result; nil when there are none.
func (s *Session) SetDigits(digits []uint8) { s.digits = digits }

// Digits is what was last noted.
func (s *Session) Digits() []uint8 { return s.digits }

// SetDuplicate takes note of how MySQL words the duplicate key that a statement has come upon: "Duplicate entry '1' for key 't.PRIMARY'",
// which tools read. The engine's own error has other words.
func (s *Session) SetDuplicate(text string) { s.duplicate = text }

// Duplicate is what was last noted.
func (s *Session) Duplicate() string { return s.duplicate }

// ClientHost is the host that the client connects from, as user() names it.
func (s *Session) ClientHost() string {
	if s.opt.Client == "" {
		return s.Client().Address
	}
	return s.opt.Client
}

// GetCharacterSetResults implements sql.Session. The engine writes results in UTF-8 whatever the client wants: servers encode them, who
// can replace what the client's character set does not have. Only where the client wants no conversion does the engine know.
func (s *Session) GetCharacterSetResults() sql.CharacterSetID {
	switch id := s.BaseSession.GetCharacterSetResults(); id {
	case sql.CharacterSet_Unspecified, sql.CharacterSet_binary:
		return id
	}
	return sql.CharacterSet_utf8mb4
}

// ResultCharset is the character set that the client wants results in.
func (s *Session) ResultCharset() sql.CharacterSetID { return s.BaseSession.GetCharacterSetResults() }

// localLimit bounds what Local keeps.
const localLimit = 4096

// Local is the session's own value for a key, made when it is not there.
func (s *Session) Local(key any, make func() any) any {
	v, ok := s.local[key]
	if !ok {
		if len(s.local) >= localLimit {
			clear(s.local)
		}
		v = make()
		s.local[key] = v
	}
	return v
}

// ForgetLocal drops the session's own value for a key.
func (s *Session) ForgetLocal(key any) { delete(s.local, key) }

// nearest suggests names of the database with the refs that err says may have been meant.
func nearest(base string, err error) string {
	var near []string
	for _, n := range errs.Meant(err) {
		near = append(near, base+"/"+n)
	}
	return errs.DidYouMean(near)
}

// head is what the bare name of a database means in a session: a branch, or a commit when that is set.
type head struct {
	repo   *repo.Repo // another database of the name begins anew
	branch string
	commit history.CommitID

	previous string // branch before that
}

var (
	_ registry.Session          = (*Session)(nil)
	_ sql.TransactionSession    = (*Session)(nil)
	_ sql.LifecycleAwareSession = (*Session)(nil)
)

// New makes a session of the engine's own part of one.
func New(base *sql.BaseSession, opt Options) *Session {
	s := &Session{
		BaseSession: base, opt: opt, heads: map[string]head{}, temp: map[string]*repo.Repo{},
		prepared: newStatements(), cached: newStatements(), local: map[any]any{}, used: base.GetCurrentDatabase(),
	}
	if opt.Active != nil {
		opt.Active.add(s)
	}
	return s
}

// Of is the session of a statement; an error of class Internal when it is not one of this package.
func Of(ctx *sql.Context) (*Session, error) {
	s, ok := ctx.Session.(*Session)
	if !ok {
		return nil, errs.New(errs.Internal, "the session is a %T, not one of this database", ctx.Session)
	}
	return s, nil
}

// SplitName cuts the revision off a database name: what is behind the first '/' or '@'.
func SplitName(name string) (base, revision string) {
	if i := strings.IndexAny(name, "/@"); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// Database is a database by name, with or without a revision; "" is the current one.
func (s *Session) Database(ctx *sql.Context, name string) (registry.Handle, error) {
	return s.Handle(ctx, name)
}

// Handle is Database with its concrete type.
func (s *Session) Handle(ctx *sql.Context, name string) (*Handle, error) {
	if name == "" {
		if name = s.GetCurrentDatabase(); name == "" {
			return nil, sql.ErrNoDatabaseSelected.New()
		}
	}
	base, rev := SplitName(name)
	r, canonical, ok := s.opt.Databases.Lookup(base)
	if !ok {
		if err := s.opt.Databases.Refusal(base); err != nil {
			return nil, Error(err)
		}
		return nil, sql.ErrDatabaseNotFound.New(name)
	}
	h := &Handle{s: s, name: name, base: canonical, repo: r}
	if rev == "" {
		now := s.head(r, canonical)
		h.branch, h.commit = now.branch, now.commit
		if !h.commit.IsZero() {
			h.branch = ""
		}
		return h, nil
	}
	if _, ok := r.BranchHead(rev); ok {
		h.branch = rev
		return h, nil
	}
	id, err := r.Resolve(ctx, rev, s.head(r, canonical).branch)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return nil, sql.ErrDatabaseNotFound.New(name + nearest(base, err))
		}
		return nil, Error(err)
	}
	h.commit = id
	return h, nil
}

// head is what the bare name of a database means now. A branch that is gone stays what it means until the session goes to another:
// statements must not end up on a branch that nobody has named.
func (s *Session) head(r *repo.Repo, canonical string) head {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	l := strings.ToLower(canonical)
	if now, ok := s.heads[l]; ok && now.repo == r {
		return now
	}
	s.heads[l] = head{repo: r, branch: s.firstBranch(r, canonical)}
	return s.heads[l]
}

// firstBranch is the branch on which a session begins.
func (s *Session) firstBranch(r *repo.Repo, canonical string) string {
	for _, name := range []string{canonical + suffixDefaultBranch, varBranchRef} {
		if _, v, ok := sql.SystemVariables.GetGlobal(name); ok {
			if b, ok := v.(string); ok && b != "" {
				if b = strings.TrimPrefix(b, refPrefix); branchExists(r, b) {
					return b
				}
			}
		}
	}
	if b := s.opt.Databases.DefaultBranch(canonical); branchExists(r, b) {
		return b
	}
	return r.CheckedOut()
}

// setHead makes the bare name of a database mean a branch or, where one is given, a commit.
func (s *Session) setHead(r *repo.Repo, canonical, branch string, commit history.CommitID) {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	key := strings.ToLower(canonical)
	h := head{repo: r, branch: branch, commit: commit}
	if old := s.heads[key]; old.repo == r {
		h.previous = old.previous
	}
	s.heads[key] = h
}

// PreviousBranch implements registry.Session.
func (s *Session) PreviousBranch(base string) string {
	r, canonical, ok := s.opt.Databases.Lookup(base)
	if !ok {
		return ""
	}
	return s.head(r, canonical).previous
}

// setPrevious notes the branch that the bare name of a database meant before.
func (s *Session) setPrevious(canonical, branch string) {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	key := strings.ToLower(canonical)
	h := s.heads[key]
	h.previous = branch
	s.heads[key] = h
}

func branchExists(r *repo.Repo, name string) bool {
	_, ok := r.BranchHead(name)
	return ok
}

// ActiveBranch implements registry.Session.
func (s *Session) ActiveBranch(ctx *sql.Context, base string) (string, error) {
	h, err := s.Handle(ctx, base)
	if err != nil {
		return "", err
	}
	return h.Branch(), nil
}

// SwitchBranch implements registry.Session. When the current database names a revision of base, it becomes base.
func (s *Session) SwitchBranch(ctx *sql.Context, base, branch string) error {
	r, canonical, ok := s.opt.Databases.Lookup(base)
	if !ok {
		return sql.ErrDatabaseNotFound.New(base)
	}
	if !branchExists(r, branch) {
		tx, err := r.Begin(ctx, branch) // for its error, which names what is near
		if err == nil {                 // made meanwhile
			tx.Rollback()
			return s.SwitchBranch(ctx, base, branch)
		}
		return Error(err)
	}
	return s.Outside(ctx, func(*sql.Context) error {
		was := s.head(r, canonical).branch
		s.setHead(r, canonical, branch, history.CommitID{})
		if was != branch {
			s.setPrevious(canonical, was)
		}
		cur, rev := SplitName(s.GetCurrentDatabase())
		if _, c, ok := s.opt.Databases.Lookup(cur); ok && rev != "" && c == canonical {
			s.SetCurrentDatabase(canonical)
			s.setUsed(canonical)
		}
		return nil
	})
}

// detach makes the bare name of a database mean a commit, which cannot be written.
func (s *Session) detach(ctx *sql.Context, canonical string, id history.CommitID) error {
	return s.Outside(ctx, func(*sql.Context) error {
		r, _, ok := s.opt.Databases.Lookup(canonical)
		if !ok {
			return sql.ErrDatabaseNotFound.New(canonical)
		}
		s.setHead(r, canonical, s.head(r, canonical).branch, id)
		return nil
	})
}

// Select implements registry.Session.
func (s *Session) Select(ctx *sql.Context, query string) (sql.Schema, []sql.Row, error) {
	if s.opt.Query == nil {
		return nil, nil, errs.New(errs.Unsupported, "run %q: no queries can be run within a statement here", query)
	}
	var schema sql.Schema
	rows, err := sql.RunInterpreted(ctx, func(ctx *sql.Context) ([]sql.Row, error) {
		sch, it, err := s.opt.Query(ctx, query)
		if err != nil {
			return nil, err
		}
		schema = sch
		return sql.RowIterToRows(ctx, it)
	})
	return schema, rows, err
}

// UseDatabase is told of USE. The name itself is set by the engine.
func (s *Session) UseDatabase(ctx *sql.Context, db sql.Database) error {
	s.setUsed(db.Name())
	return s.BaseSession.UseDatabase(ctx, db)
}

func (s *Session) setUsed(name string) {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	s.used = name
}

// ValidateSession is called at the start of every statement. It ends what a failed statement has left.
func (s *Session) ValidateSession(ctx *sql.Context) error {
	if ctx.IsInterpreted() {
		return nil
	}
	return s.settle(ctx)
}

// settle takes away what a statement that failed has left: its transaction when it ran in one of its own, else its changes to
// schemas, which end with a commit when they succeed.
func (s *Session) settle(ctx *sql.Context) error {
	tx, ok := s.GetTransaction().(*Tx)
	if !ok {
		return nil
	}
	tx.closeStatement()
	if !s.GetIgnoreAutoCommit() {
		auto, err := plan.IsSessionAutocommit(ctx)
		if err != nil {
			return err
		}
		if auto {
			tx.end()
			s.SetTransaction(nil)
			return nil
		}
	}
	tx.undoDDL()
	return nil
}

// works takes note of the branch that the session works on; nil is none any more.
func (s *Session) works(on *repo.Activity) {
	if s.active == on {
		return
	}
	if s.active != nil {
		s.active.Leave()
	}
	if s.active = on; on != nil {
		on.Join()
	}
}

// CommandBegin implements sql.LifecycleAwareSession.
func (s *Session) CommandBegin() error { return nil }

// CommandEnd implements sql.LifecycleAwareSession.
func (s *Session) CommandEnd() {}

// SessionEnd ends the session's transaction and drops its temporary tables.
func (s *Session) SessionEnd() {
	if s.opt.Active != nil {
		s.opt.Active.remove(s)
	}
	if tx, ok := s.GetTransaction().(*Tx); ok {
		tx.end()
		s.SetTransaction(nil)
	}
	s.works(nil)
	s.tempMu.Lock()
	defer s.tempMu.Unlock()
	for _, r := range s.temp {
		// The tables are in memory only: there is nothing that a failure could lose.
		_ = r.Close(context.Background())
	}
	s.temp = map[string]*repo.Repo{}
}

// PrepareQuery keeps a prepared statement; the least recently used one is dropped when there are too many.
func (s *Session) PrepareQuery(query string, stmt sqlparser.Statement) { s.prepared.put(query, stmt) }

// UnprepareQuery drops a prepared statement.
func (s *Session) UnprepareQuery(query string) { s.prepared.drop(query) }

// GetPreparedQuery is a prepared statement.
func (s *Session) GetPreparedQuery(query string) (sqlparser.Statement, bool) {
	return s.prepared.get(query)
}

// CacheQuery keeps a parsed statement for a while.
func (s *Session) CacheQuery(query string, stmt sqlparser.Statement) { s.cached.put(query, stmt) }

// GetCachedQuery is a statement kept by CacheQuery.
func (s *Session) GetCachedQuery(query string) (sqlparser.Statement, bool) {
	return s.cached.get(query)
}
