// Package fsck verifies a database: every chunk that refs and working sets reach, its hash, the order, counts and shape of every
// tree, and that rows and indexes of a table say the same. It reports what is wrong and where, and goes on.
package fsck

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Start is a place from which chunks are reached.
type Start struct {
	Name   string           // as reports name it: "branch main", "working set of main"
	Tag    hash.Hash        // of a tag's chunk, which names the commit; zero for none
	Commit history.CommitID // zero for none
	Root   tree.Root        // when Tag and Commit are zero
	Merge  hash.Hash        // of a merge in progress, which names commits, roots and tables; zero for none
	Stash  hash.Hash        // of a stash, which names a commit and a root; zero for none
	Rebase hash.Hash        // of a rebase in progress, which names commits and a root; zero for none
	// Merging says that the root is the working set of a merge: rows may have one value in a unique index, which the merge lists.
	Merging bool
}

// Problem is something that is wrong.
type Problem struct {
	Where string // what holds it: "branch main: commit …: table prices: rows"
	Err   error
}

// String is the problem as a line.
func (p Problem) String() string { return p.Where + ": " + p.Err.Error() }

// Counts are what was verified.
type Counts struct {
	Commits, Roots, Tables int
	Rows                   uint64 // of distinct tables
}

// Checker verifies what it is given; what several places share is verified once. It belongs to one goroutine.
type Checker struct {
	r       chunk.Reader
	report  func(Problem)
	step    func(commits int) // may be nil
	schemas schema.Cache
	commits map[history.CommitID]bool
	roots   map[tree.Root]bool
	tables  map[hash.Hash]bool
	rows    map[hash.Hash]*tree.Checked // by schema and tree
	entries tree.Checked
	counts  Counts
	twins   bool // see Start.Merging
	part    Part
}

// Part is what a database that is a part of another has.
type Part interface {
	// Cut tells whether the parents of a commit are missing.
	Cut(id history.CommitID) bool
	// HasTable tells whether a table of that name is there.
	HasTable(name string) bool
}

// OnlyPart makes the checker pass over what the part says is missing. It comes before Check.
func (c *Checker) OnlyPart(p Part) { c.part = p }

// New makes a checker of the chunks in r. step is called after every commit; nil for not at all.
func New(r chunk.Reader, report func(Problem), step func(commits int)) *Checker {
	return &Checker{
		r: r, report: report, step: step, commits: map[history.CommitID]bool{}, roots: map[tree.Root]bool{},
		tables: map[hash.Hash]bool{}, rows: map[hash.Hash]*tree.Checked{},
	}
}

// Counts are what was verified so far.
func (c *Checker) Counts() Counts { return c.counts }

// Check verifies everything that start reaches. An error means that the verification itself could not go on.
func (c *Checker) Check(ctx context.Context, start Start) error {
	if !start.Tag.IsZero() {
		data, err := c.whole(ctx, start.Tag)
		if err != nil {
			c.report(Problem{start.Name, err})
			return nil
		}
		tag, err := history.DecodeTag(data)
		if err != nil {
			c.report(Problem{start.Name, err})
			return nil
		}
		if !bytes.Equal(tag.Encode(), data) {
			c.report(Problem{start.Name, errs.New(errs.Corrupt, "not the canonical encoding of a tag")})
		}
		start.Commit = tag.Commit
	}
	if !start.Merge.IsZero() {
		return c.merge(ctx, start)
	}
	if !start.Stash.IsZero() || !start.Rebase.IsZero() {
		return c.aside(ctx, start)
	}
	if start.Commit.IsZero() {
		c.twins = start.Merging
		defer func() { c.twins = false }()
		return c.root(ctx, start.Name, start.Root)
	}
	todo := []history.CommitID{start.Commit}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if c.commits[id] {
			continue
		}
		c.commits[id] = true
		where := fmt.Sprintf("%s: commit %s", start.Name, id)
		data, err := c.whole(ctx, id)
		if err != nil {
			c.report(Problem{where, err})
			continue
		}
		cm, err := history.DecodeCommit(data)
		if err != nil {
			c.report(Problem{where, err})
			continue
		}
		if !bytes.Equal(cm.Encode(), data) {
			c.report(Problem{where, errs.New(errs.Corrupt, "not the canonical encoding of a commit")})
		}
		c.counts.Commits++
		height, known := uint64(0), true
		if c.part != nil && c.part.Cut(id) {
			cm.Parents, known = nil, false
		}
		for _, p := range cm.Parents {
			todo = append(todo, p)
			pc, err := history.GetCommit(ctx, c.r, p)
			if err != nil {
				known = false // the parent itself is reported when its turn comes
				continue
			}
			height = max(height, pc.Height)
		}
		if known && cm.Height != height+1 {
			c.report(Problem{where, errs.New(errs.Corrupt, "its height is %d, its parents ask for %d", cm.Height, height+1)})
		}
		if err := c.root(ctx, where, cm.Root); err != nil {
			return err
		}
		if c.step != nil {
			c.step(1)
		}
	}
	return nil
}

// whole reads a chunk and compares its bytes with its hash.
func (c *Checker) whole(ctx context.Context, h hash.Hash) ([]byte, error) {
	data, err := c.r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	if got := hash.Sum(data); got != h {
		return nil, errs.New(errs.Corrupt, "chunk %s: its bytes have another hash, %s", h, got)
	}
	return data, nil
}

func (c *Checker) root(ctx context.Context, where string, t tree.Root) error {
	if t.Hash.IsZero() || c.roots[t] {
		return nil
	}
	c.roots[t] = true
	c.counts.Roots++
	sound := true
	err := tree.CheckNew(ctx, c.r, root.Format(), t, &c.entries, func(p tree.Problem) error {
		sound = false
		c.report(Problem{where + ": root", p})
		return nil
	})
	if err != nil || !sound {
		return err
	}
	es, err := root.Open(c.r, t).All(ctx)
	if err != nil {
		c.report(Problem{where + ": root", err})
		return nil
	}
	for _, e := range es {
		if e.Kind != root.KindTable || c.part != nil && !c.part.HasTable(e.Name) {
			continue
		}
		if err := c.table(ctx, where+": table "+e.Name, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checker) table(ctx context.Context, where string, e root.Entry) error {
	if c.tables[e.Table] {
		// The comments are not the table's.
		if _, err := table.Open(ctx, c.r, &c.schemas, e.Table, e.Comments); len(e.Comments) > 0 && err != nil {
			c.report(Problem{where, err})
		}
		return nil
	}
	c.tables[e.Table] = true
	c.counts.Tables++
	data, err := c.whole(ctx, e.Table)
	if err != nil {
		c.report(Problem{where, err})
		return nil
	}
	d, err := table.Decode(data)
	if err != nil {
		c.report(Problem{where, err})
		return nil
	}
	if _, err := c.whole(ctx, d.Schema); err != nil {
		c.report(Problem{where + ": schema", err})
		return nil
	}
	t, err := table.Open(ctx, c.r, &c.schemas, e.Table, e.Comments)
	if err != nil {
		c.report(Problem{where, err})
		return nil
	}
	if !bytes.Equal(t.Encode(), data) {
		c.report(Problem{where, errs.New(errs.Corrupt, "not the canonical encoding of a table")})
	}
	c.counts.Rows += t.Rows.Count
	sound := true
	check := func(name string, n int, f tree.Format, r tree.Root) error {
		k := hash.Sum(append(t.Schema.Hash[:], byte(n), byte(n>>8)))
		if c.rows[k] == nil {
			c.rows[k] = &tree.Checked{}
		}
		return tree.CheckNew(ctx, c.r, f, r, c.rows[k], func(p tree.Problem) error {
			sound = false
			c.report(Problem{where + ": " + name, p})
			return nil
		})
	}
	if err := check("rows", 0, t.Schema.Primary.Format, t.Rows); err != nil {
		return err
	}
	for n := range t.Indexes {
		if err := check("index "+t.Schema.Indexes[n].Name, n+1, t.Schema.Index[n].Format, t.Indexes[n]); err != nil {
			return err
		}
	}
	if !sound {
		return nil
	}
	return c.indexes(ctx, where, t)
}

// indexes verifies that every index has an entry for each row and no others: as many as there are rows, each naming a row that
// makes it; and that no two rows have the same values in a unique one.
func (c *Checker) indexes(ctx context.Context, where string, t *table.Table) error {
	for n := range t.Indexes {
		place := where + ": index " + t.Schema.Indexes[n].Name
		if t.Indexes[n].Count != t.Rows.Count {
			c.report(Problem{place, errs.New(errs.Corrupt, "%d entries for %d rows", t.Indexes[n].Count, t.Rows.Count)})
			continue
		}
		if err := c.index(ctx, place, t, n); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checker) index(ctx context.Context, place string, t *table.Table, n int) error {
	v := table.NewView(c.r, t, nil)
	x := &indexCheck{v: v, n: n, twins: c.twins, row: make([]value.Cell, len(t.Schema.Primary.Phys)), cells: make([]value.Cell, len(t.Schema.Index[n].Phys))}
	scan := v.Scan(table.ScanOptions{Rows: table.Rows(n)})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil {
			c.report(Problem{place, err})
			return nil
		}
		if !ok {
			return nil
		}
		for i := b.Lo; i < b.Hi; i++ {
			if err := x.entry(ctx, b.Page, i); err != nil {
				c.report(Problem{place, err})
			}
		}
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
	}
}

// indexCheck verifies the entries of an index in their order.
type indexCheck struct {
	v          *table.View
	n          int
	twins      bool
	row, cells []value.Cell
	last, next []byte // the unique values of the last entry that has no NULL among them, and those of this one
}

// entry says what is wrong with entry i of a page.
func (x *indexCheck) entry(ctx context.Context, p *page.Page, i int) (err error) {
	for k := range x.cells {
		if x.cells[k], err = p.Cell(ctx, k, i); err != nil {
			return err
		}
	}
	found, err := x.v.Get(ctx, x.v.RowKey(x.n, x.cells), x.row)
	if err != nil {
		return err
	}
	if !found {
		return errs.New(errs.Corrupt, "an entry names a row that is not there")
	}
	same, err := table.IndexMatches(ctx, x.v.Reader(), x.v.Schema(), x.n, x.row, x.cells)
	if err != nil {
		return err
	}
	if !same {
		return errs.New(errs.Corrupt, "an entry differs from the row that it names")
	}
	if !x.v.Schema().Indexes[x.n].Unique || x.twins {
		return nil
	}
	l := x.v.Layout(table.Rows(x.n))
	x.next = x.next[:0]
	for k := range x.v.Schema().Indexes[x.n].Columns {
		if x.cells[k].IsNull() {
			return nil
		}
		x.next = value.AppendKeyPart(x.next, &l.Parts[k], x.cells[k])
	}
	if len(x.last) > 0 && bytes.Equal(x.last, x.next) {
		return errs.New(errs.Corrupt, "two rows have the same values in this unique index")
	}
	x.last, x.next = x.next, x.last
	return nil
}
