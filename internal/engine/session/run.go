package session

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// Run is the run that the session works for; its Run is "" for none.
func (s *Session) Run() lineage.Current { return s.run }

// SetRun makes the session work for a run, whose reads are recorded in databases that other sessions may have added to in; nil where the
// session is the run's only one.
func (s *Session) SetRun(by lineage.Current, in *repo.ReadsIn) {
	if s.run.Run != by.Run || in != nil {
		s.readsIn = in
	}
	s.run = by
}

// setRun heeds the variables of runs.
func (s *Session) setRun(ctx *sql.Context, name string, value any) error {
	text, _ := value.(string) // NULL is none
	switch strings.ToLower(name) {
	case varRun:
		s.readsIn = nil
		s.run.Run, s.run.Name = lineage.Named(text)
		if r := s.home(ctx); r != nil && text != "" {
			if p := r.Partial(); r.ReadOnly() || p != nil && p.Mirror {
				ctx.Warn(mysql.ERUnknownError, "the database is open for reading only: what run %s reads is not recorded", text)
				return nil
			}
			return Error(r.EnsureRun(ctx, s.run))
		}
	case varRunNode:
		s.run.Node = text
	case varRunAttempt:
		s.run.Attempt = text
	case varRunAlias:
		s.run.Alias = text
	}
	return nil
}

// home is the session's current database; nil when there is none.
func (s *Session) home(ctx *sql.Context) *repo.Repo {
	base := s.GetCurrentDatabase()
	if i := strings.IndexAny(base, "/@"); i >= 0 {
		base = base[:i]
	}
	if base == "" {
		return nil
	}
	r, _, ok := s.opt.Databases.Lookup(base)
	if !ok {
		return nil
	}
	return r
}

// NoteRead takes note that the session reads a table of a database, when it works for a run. It is recorded in the session's current
// database; in the one that is read when that is none or cannot be written.
func (s *Session) NoteRead(ctx *sql.Context, from *repo.Repo, x repo.Read) {
	if s.run.Run == "" {
		return
	}
	x.Query = ctx.Query()
	home := s.home(ctx)
	if home == nil || home.ReadOnly() {
		home = from
	}
	home.NoteReadOf(s.run, from, x)
	if s.readsIn == nil {
		s.readsIn = &repo.ReadsIn{}
	}
	s.readsIn.Add(home)
}

// ForRun is a context of a statement in which commits are those of the session's run.
func (s *Session) ForRun(ctx *sql.Context) *sql.Context {
	if s.run.Run == "" {
		return ctx
	}
	return ctx.WithContext(repo.WithReadsIn(lineage.With(ctx.Context, s.run), s.readsIn))
}
