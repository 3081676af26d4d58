package session

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// Author implements registry.Session: what the session's variables say, else the server's author, else the client's account.
func (s *Session) Author(ctx *sql.Context) (history.Signature, error) {
	return s.signature(ctx, varAuthorName, varAuthorEmail, varAuthorDate)
}

// Committer implements registry.Session. It is found as Author is.
func (s *Session) Committer(ctx *sql.Context) (history.Signature, error) {
	return s.signature(ctx, varCommitterName, varCommitterEmail, varCommitterDate)
}

// signature is a name, an address and a time by the variables that may give them.
func (s *Session) signature(ctx *sql.Context, name, email, date string) (history.Signature, error) {
	by := history.Signature{Name: s.opt.Author.Name, Email: s.opt.Author.Email}
	if by.Name == "" {
		c := s.Client()
		by.Name, by.Email = c.User, c.User+"@"+c.Address
	}
	if v := s.text(ctx, name); v != "" {
		by.Name = v
	}
	if v := s.text(ctx, email); v != "" {
		by.Email = v
	}
	var err error
	if v := s.text(ctx, date); v != "" {
		by.Time, err = op.ParseTime(v)
	}
	return by, err
}

// text is the value of a variable that is a string; "" when there is none.
func (s *Session) text(ctx *sql.Context, name string) string {
	v, err := s.BaseSession.GetSessionVariable(ctx, name)
	t, isText := v.(string)
	if err != nil || !isText {
		return ""
	}
	return t
}

// record makes a commit of everything on each of the branches, if varTransactionCommit asks for that. A branch in the middle of a merge
// or a rebase, which a commit would end, gets none, and a warning says so.
func (s *Session) record(ctx *sql.Context, branches []changed) error {
	if len(branches) == 0 || !IsOn(ctx, varTransactionCommit) {
		return nil
	}
	author, err := s.Author(ctx)
	if err != nil {
		return Error(err)
	}
	committer, err := s.Committer(ctx)
	if err != nil {
		return Error(err)
	}
	message := s.text(ctx, varTransactionMessage)
	if message == "" {
		message = transactionMessage
	}
	for _, b := range branches {
		busy, err := busy(ctx, b)
		if err != nil {
			return Error(err)
		}
		if busy != "" {
			ctx.Warn(noteCode, "@@%s: branch '%s' has no commit of this transaction: a %s is in progress", varTransactionCommit, b.branch, busy)
			continue
		}
		_, err = b.repo.Commit(s.ForRun(ctx), repo.CommitOptions{Branch: b.branch, Message: message, Author: author, Committer: committer, AddNew: true})
		if err != nil && !errs.Is(err, errs.NothingToDo) {
			return Error(err)
		}
	}
	return nil
}

// noteCode is MySQL's number of a note without a number of its own.
const noteCode = 1105

// busy is what is in progress on a branch: "merge", "rebase" or "".
func busy(ctx *sql.Context, b changed) (string, error) {
	tx, err := b.repo.Begin(ctx, b.branch)
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	m, err := tx.Merging(ctx)
	if err != nil || m.Merges() {
		return "merge", err
	}
	x, err := tx.Rebasing(ctx)
	if err != nil || x != nil {
		return "rebase", err
	}
	return "", nil
}
