package diff

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// Blame says of the rows of a table at a commit which commit gave them the content that they have. Of rows that a merge took from one
// of its parents it is the commit that the parent has them from. A commit that changes the primary key counts as having written every
// row. Blame is immutable.
type Blame struct {
	Table   *table.Table // at the commit that was asked for
	by      keyNotes     // places in commits
	commits []*history.Commit
	rest    *history.Commit // of all rows that by does not name
}

// Of is the commit of the row with that key.
func (b *Blame) Of(key []byte) *history.Commit {
	if i, ok := b.by.get(key); ok {
		return b.commits[i]
	}
	return b.rest
}

// NewBlame looks back from the commit head for the rows of the table with keys in the bounds of opt. It reads what the commits changed
// of it and holds a note for each row that any commit but the first one changed. Without such a table the error is of class NotFound,
// of one without primary key it is of class Unsupported.
func NewBlame(ctx context.Context, r chunk.Reader, head *history.Commit, name string, opt Options) (*Blame, error) {
	k := &blamer{
		r: r, opt: opt, out: &Blame{}, given: map[string]bool{},
		open: map[history.CommitID]*blamed{}, tables: map[[2]string]*table.Table{},
	}
	t, err := k.table(ctx, head, name)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errs.New(errs.NotFound, "table not found: %s", name)
	}
	if t.Schema.Keyless() {
		return nil, errs.New(errs.Unsupported, "blame %s: rows of a table without primary key cannot be told apart", name)
	}
	k.out.Table = t
	k.open[head.ID] = &blamed{name: name, rest: true}
	w, err := history.Walk(ctx, r, []history.CommitID{head.ID}, nil)
	if err != nil {
		return nil, err
	}
	k.ahead = k.lookAhead(ctx, head, name)
	defer k.ahead.stop()
	for len(k.open) > 0 {
		c, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		it := k.open[c.ID]
		if it == nil {
			continue
		}
		delete(k.open, c.ID)
		if err := k.step(ctx, c, it); err != nil {
			return nil, err
		}
	}
	return k.out, nil
}

// blamer is a blame on its way back through history.
type blamer struct {
	r       chunk.Reader
	opt     Options
	out     *Blame
	open    map[history.CommitID]*blamed
	given   map[string]bool // keys that are with a commit by name, not with the one that has the rest
	schemas schema.Cache
	tables  map[[2]string]*table.Table
	ahead   *aheadOf
}

// blamed is the rows for which a commit is looked for that a commit has as the first one does.
type blamed struct {
	name string // of the table there
	rest bool   // all but those that are settled or given
	keys map[string]bool
}

func (k *blamer) table(ctx context.Context, c *history.Commit, name string) (*table.Table, error) {
	e, ok, err := root.Open(k.r, c.Root).Get(ctx, root.KindTable, name)
	if err != nil || !ok {
		return nil, err
	}
	id := [2]string{string(e.Table[:]), string(e.Comments)}
	if t := k.tables[id]; t != nil {
		return t, nil
	}
	t, err := table.Open(ctx, k.r, &k.schemas, e.Table, e.Comments)
	if err == nil {
		k.tables[id] = t
	}
	return t, err
}

// step hands the rows of a commit to those of its parents that have them alike, and settles the others.
func (k *blamer) step(ctx context.Context, c *history.Commit, it *blamed) error {
	t, err := k.table(ctx, c, it.name)
	if err != nil {
		return err
	}
	var left map[string]bool // keys that no parent so far has alike; nil before the first parent
	for _, id := range c.Parents {
		p, err := history.GetCommit(ctx, k.r, id)
		if err != nil {
			return err
		}
		name := it.name
		old, err := k.table(ctx, p, name)
		if err != nil {
			return err
		}
		if old == nil {
			if name, err = k.before(ctx, p, c, name); err != nil {
				return err
			}
			if name == "" {
				continue
			}
			if old, err = k.table(ctx, p, name); err != nil {
				return err
			}
		}
		var found *stepKeys
		if id == c.Parents[0] && name == it.name {
			found = k.ahead.of(c, name)
		}
		if found == nil {
			var run func()
			if found, run, err = k.compare(ctx, c, name, old, t); err != nil {
				return err
			}
			if found == nil {
				continue
			}
			go run()
		}
		if len(c.Parents) == 1 {
			// Nobody else can have what this one has not.
			all := it.rest && len(k.given) == 0 // but those that are settled, which settle leaves alone
			if err := found.each(func(key []byte) {
				if all || k.has(it, key) {
					delete(it.keys, string(key))
					k.settle(key, c)
				}
			}); err != nil {
				return err
			}
			left = map[string]bool{}
			k.pass(id, name, it, nil)
			continue
		}
		changed := map[string]bool{}
		if err := found.each(func(key []byte) {
			if left == nil && k.has(it, key) || left[string(key)] {
				changed[string(key)] = true
			}
		}); err != nil {
			return err
		}
		if left == nil {
			left = changed
			k.pass(id, name, it, changed)
			continue
		}
		// A further parent: of the rows that no earlier one has, those that it has alike.
		var take []string
		for s := range left {
			if !changed[s] {
				take = append(take, s)
			}
		}
		if len(take) == 0 {
			continue
		}
		to := k.at(id, name)
		for _, s := range take {
			delete(left, s)
			k.give(to, s)
		}
	}
	switch {
	case left != nil:
		for s := range left {
			k.settle([]byte(s), c)
		}
	case it.rest: // no parent has the table
		k.out.rest = c
		for s := range it.keys {
			k.settle([]byte(s), c)
		}
	default:
		for s := range it.keys {
			k.settle([]byte(s), c)
		}
	}
	return nil
}

// before is the name that a table of commit c, which its parent p has not under that name, was renamed from; "" when it was not.
func (k *blamer) before(ctx context.Context, p, c *history.Commit, name string) (string, error) {
	ds, err := Tables(ctx, k.r, p.Root, c.Root)
	if err != nil {
		return "", err
	}
	for i := range ds {
		if ds[i].Kind == TableRenamed && ds[i].Is(name) {
			return ds[i].From.Name, nil
		}
	}
	return "", nil
}

// has tells whether a commit is still looked for, for the row of that key, from what it holds.
func (k *blamer) has(it *blamed, key []byte) bool {
	if it.keys[string(key)] {
		return true
	}
	if !it.rest || k.given[string(key)] {
		return false
	}
	_, settled := k.out.by.get(key)
	return !settled
}

// settle says that a row is of a commit, the one that step looks at, unless it is settled.
func (k *blamer) settle(key []byte, c *history.Commit) {
	delete(k.given, string(key))
	if n := len(k.out.commits); n == 0 || k.out.commits[n-1] != c {
		k.out.commits = append(k.out.commits, c)
	}
	k.out.by.add(key, int32(len(k.out.commits)-1))
}

// at is what is open at a commit.
func (k *blamer) at(id history.CommitID, name string) *blamed {
	it := k.open[id]
	if it == nil {
		it = &blamed{name: name}
		k.open[id] = it
	}
	return it
}

// give puts a key to what is open at a commit.
func (k *blamer) give(to *blamed, key string) {
	if to.rest {
		delete(k.given, key)
		return
	}
	if to.keys == nil {
		to.keys = map[string]bool{}
	}
	to.keys[key] = true
	k.given[key] = true
}

// pass gives what a commit holds to its parent, except the changed keys.
func (k *blamer) pass(id history.CommitID, name string, it *blamed, changed map[string]bool) {
	to := k.at(id, name)
	if it.rest {
		// What was changed is with nobody until a further parent takes it or it is settled.
		for s := range changed {
			k.given[s] = true
		}
		for s := range to.keys {
			delete(k.given, s)
		}
		to.rest, to.keys = true, nil
	}
	for s := range it.keys {
		if !changed[s] {
			k.give(to, s)
		}
	}
}
