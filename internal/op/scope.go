package op

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Author is who a commit is by.
type Author struct {
	Name  string
	Email string
}

// String is the form of git: "Name <mail>".
func (a Author) String() string { return a.Name + " <" + a.Email + ">" }

// Scope is what a verb runs in. Edges fill it; a verb changes nothing in it. The zero Scope is enough for verbs that need nothing.
type Scope struct {
	Dir      string      // the directory that the verb works in: a database's, or where one is to be made
	FS       vfs.FS      // where Dir is
	Base     string      // where relative names of files begin; "" is Dir
	Files    string      // the only directory whose files the verb's parameters may name, and where relative names begin; "" is every place and Dir
	Repo     *repo.Repo  // the database of Dir; nil for verbs that need none
	Branch   string      // the branch that the verb works on; "" is the directory's checked-out branch
	Author   Author      // of what the verb makes
	Clock    clock.Clock // the time
	Progress Progress    // nil: none is shown
	Settings Settings    // the user's and the database's configuration
	In       io.Reader   // standard input, for verbs that read "-"; may be nil
	Out      io.Writer   // for verbs that write a stream rather than a Result, such as an export to "-"; may be nil
	Terminal bool        // the answer is shown on a terminal
	Dolt     bool        // the caller used the name dolt: Dolt's words and what it creates
	Version  string      // of this program

	Committer     Author    // of what the verb makes; zero: the Author
	AuthorTime    time.Time // of what the verb makes; zero: as it is committed
	CommitterTime time.Time // of what the verb makes; zero: the clock's

	// Tx is the caller's transaction, for verbs that can do in it what leaves conflicts, and for commit, which ends it: see ErrOutside. Nil: what
	// verbs do lasts at once.
	Tx *repo.Tx

	RefuseConflicts  bool // merges that leave conflicts change nothing and fail
	RefuseViolations bool // merges that leave rows which violate constraints change nothing and fail
	NoMergeJSON      bool // documents that both sides of a merge changed are a conflict

	// Evaluate runs statements of SQL in a transaction, which the verb ends. A statement that fails changes nothing and goes to failed,
	// whose error ends it all; nil goes on. Nil: the caller has no engine.
	Evaluate func(ctx context.Context, tx *repo.Tx, query string, failed func(statement string, err error) error) error

	// Dropped are the databases that the caller's server has set aside; nil when it has none.
	Dropped DroppedDatabases

	// Making is where the caller's server makes databases; nil when it cannot, and then they are made in Dir.
	Making MadeDatabases

	// Query answers a query of SQL in a session of its own on the databases of Dir. A row is valid until the next one. Nil: the caller has
	// no engine.
	Query func(ctx context.Context, query string) iter.Seq2[[]any, error]

	// Ask answers a query of SQL, in which "a" is a column, on a database that the verb has open, its state of now. A row is valid until
	// the next one. Nil: the caller has no engine.
	Ask func(ctx context.Context, r *repo.Repo, query string) iter.Seq2[[]value.Cell, error]

	hold *repo.Hold // keeps what the database has when the verb begins from being collected; a verb may release it when it needs no more of that

	// Lookup finds a database that the caller has open beside Repo, by name. Nil: there are no others.
	Lookup func(name string) (*repo.Repo, bool)

	// InUse tells whether a client other than the caller works on a branch. Nil: there are none.
	InUse func(branch string) bool

	// Switch makes the caller work on another branch. Nil checks the branch out in the directory.
	Switch func(ctx context.Context, branch string) error

	// Previous is the branch on which the caller worked before; "" when there was none. Nil: it is kept in the directory's settings.
	Previous func() string
}

// ErrOutside is what a verb returns that was given a transaction and does not work in it: it has changed nothing, and is to be run without.
var ErrOutside = errs.New(errs.Unsupported, "this cannot be done within a transaction")

// merge merges in the caller's transaction, if there is one.
func (s *Scope) merge(ctx context.Context, opt repo.MergeOptions) (*repo.Merged, error) {
	if s.Tx == nil {
		return s.Repo.Merge(ctx, opt)
	}
	m, err := s.Tx.BeginMerge(ctx, opt)
	if err == nil && m == nil {
		return nil, ErrOutside
	}
	return m, err
}

// commit makes a commit, which ends the caller's transaction by the same record, if there is one. An error that leaves the transaction open has
// changed nothing.
func (s *Scope) commit(ctx context.Context, opt repo.CommitOptions) (*history.Commit, error) {
	switch {
	case s.Tx == nil:
		return s.Repo.Commit(ctx, opt)
	case opt.Branch != s.Tx.Branch():
		return nil, ErrOutside
	}
	c, err := s.Tx.CommitStaged(ctx, opt)
	if err == nil && c == nil {
		return nil, errs.New(errs.NothingToDo, "nothing to commit")
	}
	return c, err
}

// merging is the merge in progress, one of the caller's transaction first.
func (s *Scope) merging(ctx context.Context) (*history.Merge, error) {
	if s.Tx == nil {
		return s.Repo.Merging(ctx, s.branch())
	}
	m, err := s.Tx.OwnMerge(ctx)
	if err == nil && m == nil {
		return nil, ErrOutside
	}
	return m, err
}

// abortMerge gives up the merge in progress, one of the caller's transaction first.
func (s *Scope) abortMerge(ctx context.Context) error {
	var err error
	if s.Tx == nil {
		_, err = s.Repo.AbortMerge(ctx, s.branch())
	} else {
		_, err = s.Tx.AbortMerge(ctx)
	}
	return err
}

// Program is the name under which the user called: "stemma" or "dolt".
func (s *Scope) Program() string {
	if s.Dolt {
		return "dolt"
	}
	return "stemma"
}

// Start begins a piece of work to be shown: total units, 0 when unknown. It works on a Scope without Progress.
func (s *Scope) Start(title string, total int64, unit string) Task {
	if s.Progress == nil {
		return noTask{}
	}
	return s.Progress.Start(title, total, unit)
}

// Progress shows how far work has come.
type Progress interface {
	// Start begins a piece of work: title is a few words ("import prices"), total its size or 0 when unknown, unit what is counted:
	// "rows", "chunks", or "bytes", which are shown in MB.
	Start(title string, total int64, unit string) Task
}

// Teller is a Progress that shows at once why work does not get on.
type Teller interface{ Tell(text string) }

// Task is a piece of work that is shown. It may be used by many goroutines.
type Task interface {
	// Add counts n more units.
	Add(n int64)
	// Done ends the display. It must be called once, with the error that ended the work, if one did: work that failed is not told of as done.
	Done(err error)
}

type noTask struct{}

func (noTask) Add(int64)  {}
func (noTask) Done(error) {}

// fs is where the user's files are.
func (s *Scope) fs() vfs.FS {
	fs := s.FS
	if fs == nil {
		fs = vfs.OS{}
	}
	if s.Files != "" {
		return vfs.Within(fs, s.Files)
	}
	return fs
}

// path is a file's name seen from where the verb works.
func (s *Scope) path(name string) string {
	switch {
	case filepath.IsAbs(name):
		return name
	case s.Files != "":
		return filepath.Join(s.Files, name)
	}
	return filepath.Join(s.base(), name)
}

// base is where relative names of files begin.
func (s *Scope) base() string {
	if s.Base != "" {
		return s.Base
	}
	return s.Dir
}

// branch is the branch that the verb works on.
func (s *Scope) branch() string {
	if s.Branch != "" {
		return s.Branch
	}
	return s.Repo.CheckedOut()
}

// signature is the author of what the verb makes.
func (s *Scope) signature() history.Signature {
	return history.Signature{Name: s.Author.Name, Email: s.Author.Email, Time: s.AuthorTime}
}

// committer is the committer of what the verb makes.
func (s *Scope) committer() history.Signature {
	by := s.Committer
	if by == (Author{}) {
		by = s.Author
	}
	return history.Signature{Name: by.Name, Email: by.Email, Time: s.CommitterTime}
}

// previousSetting is the setting of the database that holds the branch which was checked out before. Lists of settings leave it out.
const previousSetting = "checkout.previous"

// switchTo makes the caller work on the branch. hints are for the result of the verb: what did not work beside the switch.
func (s *Scope) switchTo(ctx context.Context, branch string) (hints []string, err error) {
	if s.Switch != nil {
		return nil, s.Switch(ctx, branch)
	}
	was := s.Repo.CheckedOut()
	if err := s.Repo.CheckOut(ctx, branch); err != nil {
		return nil, err
	}
	if was == branch || s.Settings.Local == "" {
		return nil, nil
	}
	if err := changeSettings(s.Settings.Local, func(m map[string]string) { m[previousSetting] = was }); err != nil {
		hints = append(hints, fmt.Sprintf("'checkout -' will not lead back to branch '%s', which could not be noted: %v", was, err))
	}
	return hints, nil
}

// previous is the branch on which the caller worked before.
func (s *Scope) previous() (string, error) {
	name := ""
	if s.Previous != nil {
		name = s.Previous()
	} else {
		m, err := readSettings(s.Settings.Local)
		if err != nil {
			return "", err
		}
		name = m[previousSetting]
	}
	if name == "" {
		return "", errs.New(errs.NotFound, "there is no previous branch: no other one has been checked out before")
	}
	return name, nil
}

// InputReader is a verb that may read standard input. Before such a verb is sent to another process, its input is copied to a file.
type InputReader interface {
	// ReadsInput tells whether it would.
	ReadsInput() bool
	// TakeInput makes it read a file instead, which the verb calls standard input still.
	TakeInput(file string)
}
