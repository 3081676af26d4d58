package op

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
)

// fsckColumns are the columns of what fsck answers.
var fsckColumns = []Column{Text("problem")}

// Fsck is the verb that verifies a database.
type Fsck struct {
	Revive bool `flag:"revive-journal-with-data-loss" help:"if the database cannot be opened, as records of its journal are damaged: go back to the state before the first of them, and keep the files as they were beside"`
	Quiet  bool `flag:"no-progress" alias:"quiet" hidden:"true" help:"accepted for compatibility"`
}

// Closed implements Closed: a database with such a journal cannot be opened.
func (c *Fsck) Closed() bool { return c.Revive }

func fsckSpec() Spec {
	return Define[Fsck](Spec{
		Name: "fsck", Columns: fsckColumns, Group: GroupCare, Needs: NeedDatabase, ReadOnly: true,
		Short: "Verify the integrity of the database",
		Long: `Reads everything: the files of the store with the checksum and hash of every chunk, and from each branch, tag, working and
staged set all that they reach, with the order, counts and shape of every tree and the agreement of indexes with rows. Each problem is
a line that says what is wrong and where. The exit status is 1 when there is one.

A journal with a damaged record in its middle belongs to a database that cannot be opened, since what was written behind the record was
acknowledged. A backup is the way to have it all again. Without one --revive-journal-with-data-loss goes back to the state before that record.`,
	})
}

// Run verifies.
func (c *Fsck) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	if c.Revive {
		return revive(ctx, s)
	}
	r := &Result{Columns: fsckColumns, Lines: []string{}}
	found := func(text string) {
		r.Add(text)
		r.Lines = append(r.Lines, text)
	}
	st := s.Repo.Store()
	task := s.Start("verify files", 0, "files")
	file := func(p pack.Problem) {
		where := p.File
		if p.Offset > 0 {
			where = fmt.Sprintf("%s, byte %d", p.File, p.Offset)
		}
		found(fmt.Sprintf("%s: %v", where, p.Err))
	}
	err = st.VerifyPacks(ctx, file)
	if err == nil {
		err = st.VerifyJournal(ctx, file)
	}
	task.Done(err)
	if err != nil {
		return nil, err
	}
	task = s.Start("verify history", 0, "commits")
	defer func() { task.Done(err) }()
	part, absent := s.Repo.Partial(), 0
	var rd chunk.Reader = st
	if part != nil && part.Lazy { // what is here is verified, and nothing is fetched for it
		rd = st.Local()
	}
	check := fsck.New(rd, func(p fsck.Problem) {
		if part != nil && part.Lazy && chunk.IsAbsent(p.Err) {
			absent++
			return
		}
		found(p.String())
	}, func(n int) { task.Add(int64(n)) })
	if part != nil {
		check.OnlyPart(part)
	}
	starts, err := s.Repo.Starts(ctx)
	if err != nil {
		return nil, err
	}
	for _, start := range starts {
		if err := check.Check(ctx, start); err != nil {
			return nil, err
		}
	}
	n := check.Counts()
	summary := fmt.Sprintf("%s, %s, %s verified", plural(uint64(n.Commits), "commit"), plural(uint64(n.Tables), "table"), plural(n.Rows, "row"))
	if part != nil {
		summary += "; the database is a part of " + part.URL
	}
	if absent > 0 {
		summary += ", where the rest was left"
	}
	if len(r.Rows) == 0 {
		r.Lines = append(r.Lines, summary+": no problems found")
		return r, nil
	}
	r.Lines = append(r.Lines, summary+": "+plural(uint64(len(r.Rows)), "problem")+" found")
	r.ExitCode = 1
	return r, nil
}

// revive makes a database with a damaged journal one that can be opened.
func revive(ctx context.Context, s *Scope) (*Result, error) {
	done, err := repo.Revive(ctx, s.FS, s.Dir)
	if err != nil {
		return nil, err
	}
	if done == nil {
		return Say("The journal is whole: nothing was changed."), nil
	}
	r := Say("Damaged: %v", done.Fault)
	r.Printf("The journal now ends before it: %s were taken out of it. The files as they were are in %s", plural(uint64(done.Lost), "byte"), done.Aside)
	r.Hints = append(r.Hints, "run fsck to see whether all that the database now refers to is there")
	return r, nil
}
