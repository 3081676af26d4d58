package op

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var keptBy = history.Signature{Name: "Ada", Email: "ada@example.org"}

// keptPlace is where tests have databases that are kept at a remote.
type keptPlace struct {
	url  string // below which each database has a path of its own
	open func(ctx context.Context, path string) (object.Store, error)
	seen map[vfs.FS]string // the paths, by the files of the test's machines
}

// keptAt is where they are now: without a URL in the directory /rem of the machines' files.
var keptAt keptPlace

// path is that of the database of the machines with these files.
func (p *keptPlace) path(fs vfs.FS) string {
	if p.url == "" {
		return "/rem"
	}
	if p.seen[fs] == "" {
		p.seen[fs] = fmt.Sprintf("%d/rem", len(p.seen))
	}
	return p.seen[fs]
}

// keptURL is the URL of the database.
func keptURL(fs vfs.FS) string {
	if keptAt.url == "" {
		return "file:///rem"
	}
	return keptAt.url + "/" + keptAt.path(fs)
}

// keptStore is the store that the database is in, as a network gives it that in, if not nil, makes of it.
func keptStore(t *testing.T, fs vfs.FS, in func(object.Store) object.Store) object.Store {
	t.Helper()
	var s object.Store = file.Open(fs, keptAt.path(fs))
	if keptAt.url != "" {
		var err error
		s, err = keptAt.open(t.Context(), keptAt.path(fs))
		keptOK(t, err)
	}
	if in != nil {
		s = in(s)
	} else if keptAt.url == "" {
		return s
	}
	return object.Retry(s, object.RetryOptions{Tries: 30, Pause: time.Microsecond})
}

// keptRemote is the remote that is in keptStore.
func keptRemote(t *testing.T, fs vfs.FS, in func(object.Store) object.Store) *remotesync.Remote {
	t.Helper()
	at, err := remotesync.Open(t.Context(), keptStore(t, fs, in))
	keptOK(t, err)
	if keptAt.url != "" {
		at.Stripe(pack.Blocks{})
	}
	return at
}

// keptNames are the objects with that prefix.
func keptNames(t *testing.T, fs vfs.FS, prefix string) map[string]bool {
	t.Helper()
	list, err := keptStore(t, fs, nil).List(t.Context(), prefix)
	keptOK(t, err)
	names := map[string]bool{}
	for _, x := range list {
		names[x.Name] = true
	}
	return names
}

// keptWorld makes a database with a table of counters, with the branches main and side, and pushes it to keptURL.
func keptWorld(t *testing.T, fs vfs.FS) {
	t.Helper()
	remote.Register()
	ctx := t.Context()
	r := rebaseWorld(t, fs)
	defer r.Close(ctx)
	whole := value.Type{Kind: value.KindInt64}
	s := &schema.Schema{}
	for _, n := range []string{"id", "v", "w"} {
		s.Columns = append(s.Columns, schema.Column{ID: schema.AssignID(n, whole, nil, nil), Name: n, Type: whole})
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	for _, b := range []string{"main", "side"} {
		tx, err := r.Begin(ctx, b)
		keptOK(t, err)
		keptOK(t, tx.CreateTable(ctx, "c", s))
		e, err := tx.Editor(ctx, "c")
		keptOK(t, err)
		for i := range 10 {
			keptOK(t, e.Insert(ctx, []value.Cell{value.IntCell(int64(i)), value.IntCell(0), value.IntCell(0)}))
		}
		keptOK(t, tx.Commit(ctx))
		_, err = r.Commit(ctx, repo.CommitOptions{Branch: b, Message: "counters", Author: keptBy, AddNew: true})
		keptOK(t, err)
	}
	settings := filepath.Join(t.TempDir(), "config")
	scope := &Scope{Repo: r, FS: fs, Dir: "/db", Settings: Settings{Local: settings}}
	_, err := (&Remote{Args: []string{"add", "origin", keptURL(fs)}}).Run(ctx, scope)
	keptOK(t, err)
	_, err = (&Push{Remote: "origin", All: true}).Run(ctx, scope)
	keptOK(t, err)
}

func keptOK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keptMachine is a machine on which the database at keptURL is worked on.
func keptMachine(t *testing.T, fs vfs.FS, name string, every time.Duration, in func(object.Store) object.Store) *repo.Repo {
	t.Helper()
	ctx := t.Context()
	dir := filepath.Join("/", name, "rem")
	keptOK(t, fs.MkdirAll(filepath.Dir(dir)))
	if _, err := repo.Locate(fs, dir); err != nil {
		keptOK(t, MakeKept(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}, keptURL(fs), dir))
	}
	r, err := repo.Open(ctx, fs, dir, repo.Options{})
	keptOK(t, err)
	keptOK(t, r.KeepIn(ctx, &remotesync.Keeper{Remote: keptRemote(t, fs, in), Store: r.Store(), FS: fs, Temp: r.TempDir()}, every))
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

type tick struct{}

// Now implements clock.Clock.
func (tick) Now() time.Time { return time.Now() }

// counter is the cells of a counter on the transaction's branch.
func counter(ctx context.Context, tx *repo.Tx, id int64) ([]value.Cell, error) {
	v, _, _, err := tx.Table(ctx, "c")
	if err != nil {
		return nil, err
	}
	cells := []value.Cell{value.IntCell(id), value.IntCell(0), value.IntCell(0)}
	ok, err := tx.Row(ctx, "c", v.Schema().Primary.AppendKey(nil, cells), cells)
	if err == nil && !ok {
		err = errs.New(errs.NotFound, "counter %d is not there", id)
	}
	return cells, err
}

// countUp adds one to a counter: to v, or w where other is set.
func countUp(ctx context.Context, r *repo.Repo, branch string, id int64, other bool) error {
	tx, err := r.Begin(ctx, branch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := countIn(ctx, tx, id, other); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func countIn(ctx context.Context, tx *repo.Tx, id int64, other bool) error {
	cells, err := counter(ctx, tx, id)
	if err != nil {
		return err
	}
	e, err := tx.Editor(ctx, "c")
	if err != nil {
		return err
	}
	next := []value.Cell{cells[0], value.IntCell(cells[1].Int() + 1), cells[2]}
	if other {
		next[1], next[2] = cells[1], value.IntCell(cells[2].Int()+1)
	}
	_, err = e.Update(ctx, cells, next)
	return err
}

// counters are the sums of v and w of all counters of a branch.
func counters(t *testing.T, r *repo.Repo, branch string) (v, w int64) {
	t.Helper()
	tx, err := r.Begin(t.Context(), branch)
	keptOK(t, err)
	defer tx.Rollback()
	for i := range int64(10) {
		cells, err := counter(t.Context(), tx, i)
		keptOK(t, err)
		v, w = v+cells[1].Int(), w+cells[2].Int()
	}
	return v, w
}

// fewWrites is a store that takes a write of one ref in a while.
type fewWrites struct {
	object.Store
	pause time.Duration

	mu   sync.Mutex
	last map[string]time.Time
	puts map[string]int
}

// Put implements object.Store.
func (f *fewWrites) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	f.mu.Lock()
	late := time.Since(f.last[name]) < f.pause
	f.mu.Unlock()
	if late {
		return errs.New(errs.Unavailable, "429 Too Many Requests: %s", name)
	}
	err := f.Store.Put(ctx, name, body, on)
	if err == nil {
		f.mu.Lock()
		f.last[name] = time.Now()
		f.puts[name]++
		f.mu.Unlock()
	}
	return err
}

// denying is a store that cannot be written while it is on.
type denying struct {
	object.Store
	on bool
}

// Put implements object.Store.
func (d *denying) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if d.on {
		return errs.New(errs.Denied, "PutObject of %s was denied", name)
	}
	return d.Store.Put(ctx, name, body, on)
}

// cutOff is a store that can be asked so often and no more.
type cutOff struct {
	object.Store
	mu   sync.Mutex
	left int
}

func (c *cutOff) set(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
}

func (c *cutOff) ask() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		return errs.New(errs.Denied, "cut off")
	}
	return nil
}

// Get implements object.Store.
func (c *cutOff) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := c.ask(); err != nil {
		return nil, "", err
	}
	return c.Store.Get(ctx, name)
}

// Put implements object.Store.
func (c *cutOff) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := c.ask(); err != nil {
		return err
	}
	return c.Store.Put(ctx, name, body, on)
}

// List implements object.Store.
func (c *cutOff) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := c.ask(); err != nil {
		return nil, err
	}
	return c.Store.List(ctx, prefix)
}

// Stat implements object.Store.
func (c *cutOff) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := c.ask(); err != nil {
		return object.Info{}, err
	}
	return c.Store.Stat(ctx, name)
}
