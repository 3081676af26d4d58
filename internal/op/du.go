package op

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/repo"
)

// duColumns are the columns of what du answers: what takes how many bytes, how many of them nothing else of its kind reaches, the part of
// the others in hundredths, and how many bytes it would be without compression.
var duColumns = []Column{Text("kind"), Text("name"), Whole("bytes"), Whole("own_bytes"), Whole("shared_percent"), Whole("uncompressed_bytes")}

// DU is the verb that says where the bytes of a database are.
type DU struct{}

func duSpec() Spec {
	return Define[DU](Spec{
		Name: "du", Columns: duColumns, Group: GroupCare, Needs: NeedDatabase, ReadOnly: true,
		Short: "Say what takes how much space",
		Long: `Counts the bytes of packs and journal that tables of the working set, branches, older commits and what else is kept take, and those of
garbage. Tables and branches share what is equal in them: such bytes count for each, and the last column says how many per cent of its bytes
a table shares with other tables, a branch with other branches. Of kind "current" is what working sets reach, of kind "history" what branches
and tags reach beside that (see 'gc --compress'), of kind "kept" what only stashes, branches of remotes, the reflog and lineage keep. Sizes are those in the files; where they are less
than a tenth below what they would be without compression, that is left out of the text.`,
		Examples: []Example{{"du", "where space is"}, {"du -r json", "as JSON"}},
	})
}

// Run counts.
func (c *DU) Run(ctx context.Context, s *Scope) (*Result, error) {
	task := s.Start("count what is in use", 0, "chunks")
	u, err := s.Repo.Usage(ctx, s.branch(), func(n int) { task.Add(int64(n)) })
	task.Done(err)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: duColumns, Lines: []string{}}
	add := func(kind string, x repo.Share) {
		shared := int64(0)
		if x.Bytes > 0 {
			shared = (x.Bytes - x.Own) * 100 / x.Bytes
		}
		if x.Raw == 0 {
			r.Add(kind, x.Name, x.Bytes, x.Own, shared, nil)
		} else {
			r.Add(kind, x.Name, x.Bytes, x.Own, shared, x.Raw)
		}
		text := fmt.Sprintf("%-8s %12s", kind, kilobytes(x.Bytes))
		if x.Name != "" {
			text += fmt.Sprintf("  %3d%% shared  %s", shared, x.Name)
		}
		if x.Bytes > 0 && x.Raw-x.Bytes >= x.Raw/10 && x.Raw > 0 {
			text += fmt.Sprintf("  (%s uncompressed)", kilobytes(x.Raw))
		}
		r.Lines = append(r.Lines, text)
	}
	for _, x := range u.Tables {
		add("table", x)
	}
	for _, x := range u.Branches {
		add("branch", x)
	}
	for _, x := range []struct {
		kind   string
		n, raw int64
	}{
		{"current", u.Current, u.CurrentRaw}, {"history", u.History, u.HistoryRaw}, {"kept", u.Kept, u.KeptRaw}, {"garbage", u.Garbage, u.GarbageRaw},
		{"other", u.Other, 0}, {"total", u.Total, 0},
	} {
		add(x.kind, repo.Share{Bytes: x.n, Own: x.n, Raw: x.raw})
	}
	if u.Garbage > u.Total/4 {
		r.Hints = append(r.Hints, "'"+s.Program()+" gc' removes garbage")
	}
	return r, nil
}

// kilobytes is a size as people read it.
func kilobytes(n int64) string { return fmt.Sprintf("%.1f kB", float64(n)/1e3) }
