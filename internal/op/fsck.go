package op

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
)

// fsckColumns are the columns of what fsck answers.
var fsckColumns = []Column{Text("problem")}

// Fsck is the verb that verifies a database.
type Fsck struct {
	Revive bool   `flag:"revive-journal-with-data-loss" help:"if the database cannot be opened, as records of its journal are damaged: go back to the state before the first of them, and keep the files as they were beside"`
	Repair bool   `flag:"repair" help:"fetch what is damaged or missing from a remote, and put damaged files aside"`
	From   string `flag:"from" value:"remote|url" help:"with --repair: from this remote or backup; otherwise from all that the database has"`
	Quiet  bool   `flag:"no-progress" alias:"quiet" hidden:"true" help:"accepted for compatibility"`
}

// Closed implements Closed: a database with such a journal or such packs cannot be opened.
func (c *Fsck) Closed() bool { return c.Revive || c.Repair }

func fsckSpec() Spec {
	return Define[Fsck](Spec{
		Name: "fsck", Columns: fsckColumns, Group: GroupCare, Needs: NeedDatabase, ReadOnly: true,
		Short: "Verify the integrity of the database",
		Long: `Reads everything: the files of the store with the checksum and hash of every chunk, and from each branch, tag, working and
staged set all that they reach, with the order, counts and shape of every tree and the agreement of indexes with rows. Each problem is
a line that says what is wrong and where. The exit status is 1 when there is one.

A journal with a damaged record in its middle belongs to a database that cannot be opened, since what was written behind the record was
acknowledged. A backup is the way to have it all again. Without one --revive-journal-with-data-loss goes back to the state before that record.

--repair verifies in the same way, and fetches every chunk that is damaged or missing from the remotes and backups of the database, or from the
one that --from names. What is fetched is checked by its hash and durable before a damaged file leaves the store, and the files as they were
are kept beside. What no remote has is listed, and the exit status is 1. Other processes must have closed the database.`,
		Usage: []string{"", "--repair [--from <remote>|<url>]", "--revive-journal-with-data-loss"},
		Examples: []Example{
			{"fsck", "verify everything"}, {"fsck --repair --from origin", "fetch what is damaged or missing"},
		},
	})
}

// Run verifies.
func (c *Fsck) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Revive && c.Repair:
		return nil, errFlags("revive-journal-with-data-loss", "repair")
	case c.From != "" && !c.Repair:
		return nil, errs.New(errs.Invalid, "fsck: --from goes with --repair")
	case c.Closed() && s.Repo != nil:
		return nil, c.errOpen(s)
	case c.Revive:
		return revive(ctx, s)
	case c.Repair:
		return c.repair(ctx, s)
	}
	v := newVerifying()
	if err := v.files(ctx, s); err != nil {
		return nil, err
	}
	starts, err := s.Repo.Starts(ctx)
	if err == nil {
		err = v.history(ctx, s, s.Repo, starts)
	}
	if err != nil {
		return nil, err
	}
	return v.end(), nil
}

// errOpen is the error of working on the files of a database that the caller has open.
func (c *Fsck) errOpen(s *Scope) error {
	flag := "--repair"
	if c.Revive {
		flag = "--revive-journal-with-data-loss"
	}
	return errs.New(errs.Locked, "fsck %[1]s: the process that you ask has the database %[2]s open, and it must be closed: end the process, and say '%[3]s fsck %[1]s' in the database's directory", flag, s.Repo.Name(), s.Program())
}

// verifying is a verification, and what it has found.
type verifying struct {
	*Result
	summary string
	unknown bool // something was lost of which it cannot be said whether it is anywhere
}

func newVerifying() *verifying {
	return &verifying{Result: &Result{Columns: fsckColumns, Lines: []string{}}}
}

func (v *verifying) found(text string) {
	v.Add(text)
	v.Lines = append(v.Lines, text)
}

func (v *verifying) file(p pack.Problem) { v.found(fileProblem(p)) }

// fileProblem is a problem of a file as a line.
func fileProblem(p pack.Problem) string {
	where := p.File
	if p.Offset > 0 {
		where = fmt.Sprintf("%s, byte %d", p.File, p.Offset)
	}
	return fmt.Sprintf("%s: %v", where, p.Err)
}

// files verifies packs and journal.
func (v *verifying) files(ctx context.Context, s *Scope) (err error) {
	task := s.Start("verify files", 0, "files")
	defer func() { task.Done(err) }()
	if err := s.Repo.Store().VerifyPacks(ctx, v.file); err != nil {
		return err
	}
	return s.Repo.Store().VerifyJournal(ctx, v.file)
}

// history verifies what is reached from these places.
func (v *verifying) history(ctx context.Context, s *Scope, r *repo.Repo, starts []fsck.Start) (err error) {
	task := s.Start("verify history", 0, "commits")
	defer func() { task.Done(err) }()
	st := r.Store()
	part, absent := r.Partial(), 0
	var rd chunk.Reader = st
	if part != nil && part.Lazy { // what is here is verified, and nothing is fetched for it
		rd = st.Local()
	}
	check := fsck.New(rd, func(p fsck.Problem) {
		if part != nil && part.Lazy && chunk.IsAbsent(p.Err) {
			absent++
			return
		}
		v.found(p.String())
	}, func(n int) { task.Add(int64(n)) })
	if part != nil {
		check.OnlyPart(part)
	}
	for _, start := range starts {
		if err := check.Check(ctx, start); err != nil {
			return err
		}
	}
	n := check.Counts()
	v.summary = fmt.Sprintf("%s, %s, %s verified", plural(uint64(n.Commits), "commit"), plural(uint64(n.Tables), "table"), plural(n.Rows, "row"))
	if part != nil {
		v.summary += "; the database is a part of " + part.URL
	}
	if absent > 0 {
		v.summary += ", where the rest was left"
	}
	return nil
}

// end is the answer.
func (v *verifying) end() *Result {
	if len(v.Rows) == 0 && v.unknown {
		v.Lines = append(v.Lines, v.summary+": no problems found in what is here, and it is not known whether what was lost is at the remote")
		v.ExitCode = 1
		return v.Result
	}
	if len(v.Rows) == 0 {
		v.Lines = append(v.Lines, v.summary+": no problems found")
		return v.Result
	}
	v.Lines = append(v.Lines, v.summary+": "+plural(uint64(len(v.Rows)), "problem")+" found")
	v.ExitCode = 1
	return v.Result
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
