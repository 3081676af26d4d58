package merge

import (
	"bytes"
	"context"
	"errors"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options steer a merge.
type Options struct {
	NoJSON  bool   // documents that both sides changed are a conflict, whatever they changed in them
	FS      vfs.FS // for the files of sorts
	TempDir string
	Memory  int // bytes for buffers; 0 is 128 MiB
	// Expressions evaluates what SQL says of rows that the merge changes. Without it CHECK constraints are not verified, and rows of
	// tables with one or with generated columns merge as a whole.
	Expressions Expressions
	// Children finds, by the lower-case name of a table, the tables of a root that refer to it by foreign keys. Without it the schemas of
	// all tables are read.
	Children func(ctx context.Context, rt *root.Root) (map[string][]string, error)
}

// Result is a merged state.
type Result struct {
	Root   *root.Root
	Tables []history.MergeTable // those with conflicts or violations, ordered by lower-case name
	Unseen []Unseen             // foreign keys that were not looked at, without those of the same tables
}

// Unseen is the tables of a foreign key whose rows were not looked at: a part of a database has not both, and they are as they are in theirs.
type Unseen struct{ Child, Parent string }

// Roots merges two states of a database that come from base. Chunks are read from and written to st.
func Roots(ctx context.Context, st chunk.Store, base, ours, theirs tree.Root, opt Options) (*Result, error) {
	if opt.Memory <= 0 {
		opt.Memory = 128 << 20
	}
	m := &merger{st: st, opt: opt, base: root.Open(st, base), ours: root.Open(st, ours), theirs: root.Open(st, theirs)}
	if ours == theirs || base == theirs {
		return &Result{Root: m.ours}, nil
	}
	if base == ours {
		return &Result{Root: m.theirs}, nil
	}
	lines, err := m.lines(ctx)
	if err != nil {
		return nil, err
	}
	out, err := m.merge(ctx, lines)
	if err != nil {
		return nil, err
	}
	return out, m.references(ctx, out)
}

// merger is one run of Roots.
type merger struct {
	st                 chunk.Store
	opt                Options
	base, ours, theirs *root.Root
	schemas            schema.Cache
}

// line is a named thing in the three states; the zero Entry where one lacks it.
type line struct{ base, ours, theirs root.Entry }

// name is what messages and the working set call it.
func (l *line) name() string {
	for _, e := range []*root.Entry{&l.ours, &l.theirs, &l.base} {
		if e.Kind != 0 {
			return e.Name
		}
	}
	return ""
}

// lines are the things that theirs has changed since base.
func (m *merger) lines(ctx context.Context) ([]line, error) {
	their, err := diff.Entries(ctx, m.st, m.base.Tree(), m.theirs.Tree())
	if err != nil {
		return nil, err
	}
	our, err := diff.Entries(ctx, m.st, m.base.Tree(), m.ours.Tree())
	if err != nil {
		return nil, err
	}
	type key struct {
		kind root.Kind
		name string
	}
	of := func(e root.Entry) key { return key{e.Kind, strings.ToLower(e.Name)} }
	gone := map[key]*diff.Delta{} // ours, by the name in base
	came := map[key]*diff.Delta{} // added by ours
	for i := range our {
		if d := &our[i]; d.From.Kind != 0 {
			gone[of(d.From)] = d
		} else {
			came[of(d.To)] = d
		}
	}
	var out []line
	for _, d := range their {
		l := line{base: d.From, ours: d.From, theirs: d.To}
		if d.From.Kind == 0 {
			if o := came[of(d.To)]; o != nil {
				l.ours = o.To
			}
		} else if o := gone[of(d.From)]; o != nil {
			l.ours = o.To
		}
		out = append(out, l)
	}
	return out, nil
}

// merge merges the lines into ours.
func (m *merger) merge(ctx context.Context, lines []line) (*Result, error) {
	out := &Result{}
	vacated := map[string]bool{} // names of ours that their tables leave
	finals := make([]string, len(lines))
	for i := range lines {
		l := &lines[i]
		finals[i] = finalName(l)
		if l.ours.Kind != 0 && !strings.EqualFold(finals[i], l.ours.Name) {
			vacated[nameKey(l.ours.Kind, l.ours.Name)] = true
		}
	}
	var drops, puts []root.Change
	for i := range lines {
		l := &lines[i]
		kind := max(l.base.Kind, l.ours.Kind, l.theirs.Kind)
		final := finals[i]
		fail := func(why string) {
			out.Tables = append(out.Tables, history.MergeTable{Name: l.name(), Base: l.base, Ours: l.ours, Theirs: l.theirs, Schema: why})
		}
		switch {
		case sameEntry(l.ours, l.theirs) || sameEntry(l.base, l.theirs):
			continue
		case l.theirs.Kind == 0 && !sameEntry(l.base, l.ours):
			fail("cannot merge a table deletion with " + m.whatChanged(ctx, l.base, l.ours))
			continue
		case l.ours.Kind == 0 && l.base.Kind != 0:
			fail("cannot merge a table deletion with " + m.whatChanged(ctx, l.base, l.theirs))
			continue
		case l.theirs.Kind == 0:
			drops = append(drops, root.Change{Entry: l.ours, Drop: true})
			continue
		case final == "":
			fail("table '" + l.base.Name + "' was renamed to '" + l.ours.Name + "' in ours and to '" + l.theirs.Name + "' in theirs")
			continue
		}
		if l.ours.Kind == 0 || !strings.EqualFold(final, l.ours.Name) {
			_, taken, err := m.ours.Get(ctx, kind, final)
			if err != nil {
				return nil, err
			}
			if taken && !vacated[nameKey(kind, final)] {
				fail("the name '" + final + "' is taken in ours")
				continue
			}
		}
		e, left, err := m.entry(ctx, l)
		var c conflict
		if errors.As(err, &c) {
			fail(string(c))
			continue
		}
		if err != nil {
			err = chunk.NameAbsent(err, "the table "+l.name())
			return nil, errs.New(errs.CodeOf(err), "merge table %s: %w", l.name(), err)
		}
		e.Name = final
		if l.ours.Kind != 0 && !strings.EqualFold(final, l.ours.Name) {
			drops = append(drops, root.Change{Entry: l.ours, Drop: true})
		}
		puts = append(puts, root.Change{Entry: e})
		if left != nil {
			left.Name, left.Base, left.Ours, left.Theirs = final, l.base, l.ours, l.theirs
			out.Tables = append(out.Tables, *left)
		}
	}
	var err error
	if out.Root, err = m.ours.With(ctx, m.st, append(drops, puts...)...); err != nil {
		return nil, err
	}
	sort.SliceStable(out.Tables, func(i, j int) bool {
		return strings.ToLower(out.Tables[i].Name) < strings.ToLower(out.Tables[j].Name)
	})
	return out, nil
}

func nameKey(k root.Kind, name string) string { return string(rune(k)) + strings.ToLower(name) }

// finalName is the name of a thing that is on both sides or added; "" when both renamed it differently.
func finalName(l *line) string {
	if l.ours.Kind == 0 {
		return l.theirs.Name
	}
	if l.theirs.Kind == 0 {
		return l.ours.Name
	}
	n, ok := three(same[string], l.base.Kind != 0, l.base.Name, l.ours.Name, l.theirs.Name)
	if !ok {
		if strings.EqualFold(l.ours.Name, l.theirs.Name) {
			return l.ours.Name
		}
		return ""
	}
	return n
}

func sameEntry(a, b root.Entry) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.Table == b.Table && bytes.Equal(a.Comments, b.Comments) && bytes.Equal(a.Body, b.Body)
}

// whatChanged is what a side did to a thing that the other side dropped.
func (m *merger) whatChanged(ctx context.Context, from, to root.Entry) string {
	const data, other = "data modification", "schema modification"
	if from.Kind != root.KindTable || to.Kind != root.KindTable {
		return other
	}
	a, errA := table.Open(ctx, m.st, &m.schemas, from.Table, from.Comments)
	b, errB := table.Open(ctx, m.st, &m.schemas, to.Table, to.Comments)
	if errA != nil || errB != nil || a.Schema.Hash != b.Schema.Hash || a.Rows == b.Rows {
		return other
	}
	return data
}

// entry merges a thing that is on both sides, or takes it from the side that has it. left is nil when nothing is left to be resolved.
func (m *merger) entry(ctx context.Context, l *line) (e root.Entry, left *history.MergeTable, err error) {
	if l.ours.Kind == 0 {
		return l.theirs, nil, nil
	}
	if l.ours.Kind != root.KindTable {
		body, ok := three(bytes.Equal, l.base.Kind != 0, l.base.Body, l.ours.Body, l.theirs.Body)
		if !ok {
			return e, nil, conflict("its definition was changed on both sides")
		}
		e = l.ours
		e.Body = body
		return e, nil, nil
	}
	content, okContent := three(same[hash.Hash], l.base.Kind != 0, l.base.Table, l.ours.Table, l.theirs.Table)
	comments, okComments := three(bytes.Equal, l.base.Kind != 0, l.base.Comments, l.ours.Comments, l.theirs.Comments)
	if okContent && okComments && (bytes.Equal(l.ours.Comments, l.theirs.Comments) && bytes.Equal(l.base.Comments, l.ours.Comments) ||
		sideOf(content, comments, l.ours) || sideOf(content, comments, l.theirs)) {
		return root.Entry{Kind: root.KindTable, Table: content, Comments: comments}, nil, nil
	}
	tm := &tableMerger{merger: m, name: finalName(l)}
	open := func(e root.Entry) (*table.Table, error) {
		if e.Kind == 0 {
			return nil, nil
		}
		return table.Open(ctx, m.st, &m.schemas, e.Table, e.Comments)
	}
	if tm.base.t, err = open(l.base); err != nil {
		return e, nil, err
	}
	if tm.ours.t, err = open(l.ours); err != nil {
		return e, nil, err
	}
	if tm.theirs.t, err = open(l.theirs); err != nil {
		return e, nil, err
	}
	t, left, err := tm.merge(ctx)
	if err != nil {
		return e, nil, err
	}
	e = root.Entry{Kind: root.KindTable, Comments: t.Schema.EncodeComments()}
	e.Table, err = t.Put(ctx, m.st)
	return e, left, err
}

// sideOf tells whether content and comments are those of one entry.
func sideOf(content hash.Hash, comments []byte, e root.Entry) bool {
	return content == e.Table && bytes.Equal(comments, e.Comments)
}
