package repo_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// world is what a database should hold. It is a value: changes make a new one.
type world struct {
	branches map[string]wbranch
	commits  map[string]content  // by message, which are all different
	parents  map[string][]string // of commits, by message
	tags     map[string]string   // to messages
	head     string
	born     int
	stashes  []wstash // newest first; not changed in place
}

type wstash struct {
	base   string // message of the commit below
	branch string
	tables content
	added  []string
}

type wbranch struct {
	head            string // message
	working, staged content
	born            int
	versions        map[string]int // of tables, absent ones included; not changed in place
}

// changed is the branch with new versions of the tables.
func (b wbranch) changed(w *world, names ...string) wbranch {
	b.versions = maps.Clone(b.versions)
	if b.versions == nil {
		b.versions = map[string]int{}
	}
	for _, n := range names {
		w.born++
		b.versions[n] = w.born
	}
	return b
}

// content is tables by name. Tables are not changed in place.
type content map[string]*wtable

type wtable struct {
	rows map[int64]wrow
}

type wrow struct {
	mail string // "" is NULL
	age  int64
}

// log is the name of the table without a key; the others are like people().
const log = "log"

var tableNames = []string{"people", "extra", log}

// renamed finds the one table that can be taken as renamed, which is of the schema and content of the other; "" when none was.
func renamed(before, after content) (from, to string) {
	for _, pair := range [][2]string{{"people", "extra"}, {"extra", "people"}} {
		from, to := pair[0], pair[1]
		if before[from] != nil && after[from] == nil && before[to] == nil && after[to] != nil && text(content{to: before[from]}, to) == text(after, to) {
			return from, to
		}
	}
	return "", ""
}

func newWorld() *world {
	return &world{
		branches: map[string]wbranch{"main": {head: repo.InitMessage, working: content{}, staged: content{}}},
		commits:  map[string]content{repo.InitMessage: {}}, parents: map[string][]string{}, tags: map[string]string{}, head: "main",
	}
}

func (w *world) clone() *world {
	return &world{branches: maps.Clone(w.branches), commits: maps.Clone(w.commits), parents: maps.Clone(w.parents), tags: maps.Clone(w.tags), head: w.head, born: w.born, stashes: w.stashes}
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.branches)) }

func (t *wtable) clone() *wtable { return &wtable{rows: maps.Clone(t.rows)} }

// rowsOf is the rows of a table; those of nil are none.
func (t *wtable) rowsOf() map[int64]wrow {
	if t == nil {
		return nil
	}
	return t.rows
}

func (t *wtable) next() int64 {
	n := int64(0)
	for k := range t.rows {
		n = max(n, k+1)
	}
	return n
}

// taken tells whether another row than id has that mail.
func (t *wtable) taken(id int64, mail string) bool {
	for k, r := range t.rows {
		if k != id && mail != "" && r.mail == mail {
			return true
		}
	}
	return false
}

func (c content) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, " %s{", name)
		for _, id := range slices.Sorted(maps.Keys(c[name].rows)) {
			r := c[name].rows[id]
			fmt.Fprintf(&b, "%d:%s:%d ", id, r.mail, r.age)
		}
		b.WriteString("}")
	}
	return b.String()
}

// text is one table of c.
func text(c content, name string) string {
	if c[name] == nil {
		return "none"
	}
	return content{name: c[name]}.String()
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "on %s\n", w.head)
	for _, n := range w.names() {
		x := w.branches[n]
		fmt.Fprintf(&b, "branch %s at %q%s\n working%s\n staged%s\n", n, x.head, w.commits[x.head], x.working, x.staged)
	}
	for _, n := range slices.Sorted(maps.Keys(w.tags)) {
		fmt.Fprintf(&b, "tag %s at %q\n", n, w.tags[n])
	}
	for _, s := range w.stashes {
		fmt.Fprintf(&b, "stash of %s at %q%s, new %q\n", s.branch, s.base, s.tables, s.added)
	}
	return b.String()
}

// observe is a database in the words of world.String.
func observe(ctx context.Context, r *repo.Repo) (string, error) {
	w := &world{branches: map[string]wbranch{}, commits: map[string]content{}, tags: map[string]string{}, head: r.CheckedOut()}
	for _, b := range r.Branches() {
		c, err := history.GetCommit(ctx, r.Store(), b.Head)
		if err != nil {
			return "", err
		}
		x := wbranch{head: c.Message}
		working, err := r.SnapshotWorking(b.Name)
		if err != nil {
			return "", err
		}
		staged, err := r.SnapshotStaged(b.Name)
		if err != nil {
			return "", err
		}
		at, err := r.SnapshotAt(ctx, b.Head)
		if err != nil {
			return "", err
		}
		if x.working, err = contentOf(ctx, working); err != nil {
			return "", err
		}
		if x.staged, err = contentOf(ctx, staged); err != nil {
			return "", err
		}
		if w.commits[c.Message], err = contentOf(ctx, at); err != nil {
			return "", err
		}
		w.branches[b.Name] = x
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range tags {
		c, err := history.GetCommit(ctx, r.Store(), t.Commit)
		if err != nil {
			return "", err
		}
		w.tags[t.Name] = c.Message
	}
	stashes, err := r.Stashes(ctx)
	if err != nil {
		return "", err
	}
	for i := range stashes {
		x := &stashes[i]
		c, err := history.GetCommit(ctx, r.Store(), x.Head)
		if err != nil {
			return "", err
		}
		tables, err := contentOf(ctx, r.SnapshotRoot(root.Open(r.Store(), x.Root)))
		if err != nil {
			return "", err
		}
		w.stashes = append(w.stashes, wstash{base: c.Message, branch: x.Branch, tables: tables, added: x.Added})
	}
	return w.String(), nil
}

func contentOf(ctx context.Context, s *repo.Snapshot) (content, error) {
	names, err := s.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	out := content{}
	for _, n := range names {
		v, _, _, err := s.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if out[n], err = tableOf(ctx, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tableOf reads a table by its rows and compares them with its count and its indexes' sizes.
func tableOf(ctx context.Context, v *table.View) (*wtable, error) {
	t := &wtable{rows: map[int64]wrow{}}
	for n := table.RowsTree; int(n) < len(v.Schema().Indexes); n++ {
		scan := v.Scan(table.ScanOptions{Rows: n})
		cells := make([]value.Cell, len(v.Layout(n).Phys))
		seen := uint64(0)
		for {
			b, ok, err := scan.Next(ctx)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			row, i := b.Row, b.Lo
			for ; b.Page == nil && i == b.Lo || i < b.Hi; i++ {
				if b.Page != nil {
					if row, err = b.Page.AppendRow(ctx, nil, i); err != nil {
						return nil, err
					}
				}
				if err := value.DecodeTuple(row, v.Layout(n).Phys, cells); err != nil {
					return nil, err
				}
				seen++
				switch {
				case n != table.RowsTree:
				case len(cells) == 2:
					t.rows[cells[0].Int()] = wrow{age: cells[1].Int()}
				default:
					t.rows[cells[0].Int()] = wrow{mail: string(cells[1].Bytes()), age: cells[2].Int()}
				}
			}
		}
		if seen != v.Count() || seen != uint64(len(t.rows)) {
			return nil, fmt.Errorf("tree %d gives %d rows, the table %d, its count is %d", n, seen, len(t.rows), v.Count())
		}
	}
	return t, nil
}

// problems is what fsck says about everything that the database reaches.
func problems(ctx context.Context, r *repo.Repo) ([]string, error) {
	var out []string
	starts, err := r.Starts(ctx)
	if err != nil {
		return nil, err
	}
	c := fsck.New(r.Store(), func(p fsck.Problem) { out = append(out, p.String()) }, nil)
	for _, s := range starts {
		if err := c.Check(ctx, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var errUnreachable = errs.New(errs.NotFound, "no ref reaches the commit")
