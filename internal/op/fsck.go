package op

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/pack"
)

// fsckColumns are the columns of what fsck answers.
var fsckColumns = []Column{Text("problem")}

// Fsck is the verb that verifies a database.
type Fsck struct {
	Quiet bool `flag:"no-progress" alias:"quiet" hidden:"true" help:"accepted for compatibility"`
}

func fsckSpec() Spec {
	return Define[Fsck](Spec{
		Name: "fsck", Columns: fsckColumns, Group: GroupCare, Needs: NeedDatabase, ReadOnly: true,
		Short: "Verify the integrity of the database",
		Long: `Reads everything: the files of the store with the checksum and hash of every chunk, and from each branch, tag, working and
staged set all that they reach, with the order, counts and shape of every tree and the agreement of indexes with rows. Each problem is
a line that says what is wrong and where. The exit status is 1 when there is one.`,
	})
}

// Run verifies.
func (c *Fsck) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
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
