package sync

import (
	"context"
	"path/filepath"
	"strings"
	gosync "sync"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Served is what Live needs to know of a database and to do with it.
type Served interface {
	// Refs are the branches and tags, by their names heads/…, tags/… and Lineage, without lists.
	Refs(ctx context.Context) (map[string]Target, error)
	// Hold keeps what the refs reach, now and later, from being collected as garbage until it is released.
	Hold() (release func())
	// Fetching keeps every chunk that the database has, reached or not, until it is released: who receives counts on those that it has seen.
	// It waits for whoever else fetches.
	Fetching() (release func())
	// Gather makes what is known of runs part of Lineage, before refs are listed.
	Gather(ctx context.Context) error
	// Receive makes the batch's chunks and all moves durable, or nothing. A ref that is not what its move says is an error of class Conflict.
	Receive(ctx context.Context, batch *pack.Batch, moves []Move) error
}

// Move is a ref that somebody pushes to, from what it was to what it is to be; zero is no ref. Lists are not looked at.
type Move struct {
	Name     string // heads/…, tags/… or Lineage
	From, To Target
}

// Live shows a database that others change meanwhile as a remote: it is the object.Store of one. Refs and lists are written for whoever
// reads them; what is put is kept aside, and becomes part of the database when a ref is put that names it.
type Live struct {
	db      Served
	store   *pack.Store
	fs      vfs.FS
	dir     string
	url     string
	uploads *file.Store // packs, lists and outcomes that were put
	views   views

	ctx  context.Context // ends with Close
	stop context.CancelFunc

	pushing gosync.Mutex // held while something is received
	swept   time.Time    // under pushing: when what nobody needs was removed last
	// deciding is held for writing while refs move together and their outcome is put, for reading by those who read refs or outcomes (R4).
	deciding gosync.RWMutex
	mu       gosync.Mutex
	pending  map[string]*pendingChange // by id
	last     map[string]hash.Hash      // what was put last for a ref, to know it again
}

var _ object.Store = (*Live)(nil)

// NewLive shows the database db, whose chunks are in the store, as a remote; url is what messages call it. dir is a directory of the store's
// file system that nobody else uses, beside the store's packs.
func NewLive(db Served, store *pack.Store, fs vfs.FS, dir, url string) (*Live, error) {
	l := &Live{
		db: db, store: store, fs: fs, dir: dir, url: url, uploads: file.Open(fs, filepath.Join(dir, "uploads")),
		pending: map[string]*pendingChange{}, last: map[string]hash.Hash{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.views = views{store: store, fs: fs, dir: filepath.Join(dir, "made")}
	if err := vfs.RemoveAll(fs, l.views.dir); err != nil {
		return nil, err
	}
	for _, d := range []string{l.views.dir, l.incoming()} {
		if err := fs.MkdirAll(d); err != nil {
			return nil, err
		}
	}
	return l, l.sweep(context.Background())
}

func (l *Live) incoming() string { return filepath.Join(l.dir, "incoming") }

// Temp is a directory for what is on its way to the store.
func (l *Live) Temp() string { return l.incoming() }

// Close ends what is being received and lets go of files that readers may have come back for.
func (l *Live) Close() error {
	l.stop()
	l.pushing.Lock()
	defer l.pushing.Unlock()
	return l.views.close()
}

// URL implements object.Store.
func (l *Live) URL() string { return l.url }

// kind is which kind of object a name is that of: the directory it is in, or MarkerName.
func kind(name string) string {
	dir, _, _ := strings.Cut(name, "/")
	if dir == name {
		return dir
	}
	return dir + "/"
}

func generationOf(t Target) object.Generation {
	if t.IsZero() {
		return ""
	}
	g := t.Commit.Full()
	if !t.Tag.IsZero() {
		g += "-" + t.Tag.Full()
	}
	return object.Generation(g)
}

// servedNonce is the nonce of refs that are written for their reader.
const servedNonce = "served"

// The generations of the markers.
const (
	markerGeneration     object.Generation = "1"
	dictionaryGeneration object.Generation = "2"
)

// Get implements object.Store.
func (l *Live) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil {
		return nil, "", errs.With(errs.Canceled, err)
	}
	switch kind(name) {
	case MarkerName:
		if l.store.HasDictionaries() {
			return []byte(dictionaryMarker), dictionaryGeneration, nil
		}
		return []byte(marker), markerGeneration, nil
	case refsDir:
		return l.ref(ctx, name)
	case changesDir:
		l.deciding.RLock()
		defer l.deciding.RUnlock()
		return l.uploads.Get(ctx, name)
	case listsDir:
		if h, err := hash.Parse(strings.TrimPrefix(name, listsDir)); err == nil {
			if data, ok := l.views.list(h); ok {
				return data, object.Generation(h.Full()), nil
			}
		}
		return l.uploads.Get(ctx, name)
	case packsDir:
		if in, err := l.Stat(ctx, name); err != nil || in.Size > rangeSize {
			if err == nil {
				err = errs.New(errs.Invalid, "object %s is long: read it in ranges", name)
			}
			return nil, "", err
		} else if data := make([]byte, in.Size); err == nil {
			return data, object.Generation(strings.TrimPrefix(name, packsDir)), l.GetRange(ctx, name, data, 0)
		}
	}
	return nil, "", object.ErrNotFound(name)
}

// ref writes a ref for its reader.
func (l *Live) ref(ctx context.Context, key string) ([]byte, object.Generation, error) {
	name, err := refNamed(key)
	if err != nil {
		return nil, "", object.ErrNotFound(key)
	}
	defer l.db.Hold()()
	l.deciding.RLock()
	refs, err := l.db.Refs(ctx)
	l.deciding.RUnlock()
	if err != nil {
		return nil, "", err
	}
	t := refs[name]
	if t.IsZero() {
		return nil, "", object.ErrNotFound(key)
	}
	v, err := l.views.of(ctx, name, t, refs)
	if err != nil {
		return nil, "", err
	}
	g := generationOf(t)
	t.List = v.name
	return value{Target: t, nonce: servedNonce}.encode(name), g, nil
}

// GetRange implements object.Store.
func (l *Live) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if kind(name) != packsDir {
		data, _, err := l.Get(ctx, name)
		if err != nil {
			return err
		}
		if end := off + int64(len(b)); end > int64(len(data)) {
			return object.ErrShort(name, int64(len(data)), end)
		}
		copy(b, data[off:])
		return nil
	}
	d, ok := packNamed(name)
	if !ok {
		return object.ErrNotFound(name)
	}
	found, err := l.views.read(d, b, off)
	if err != nil || found {
		return err
	}
	return l.uploads.GetRange(ctx, name, b, off)
}

// packNamed is the digest of the pack whose object has that name.
func packNamed(object string) (d hash.Hash, ok bool) {
	text, ok := strings.CutSuffix(strings.TrimPrefix(object, packsDir), pack.Ext)
	if !ok || len(text) != hash.FullLen {
		return d, false
	}
	d, err := hash.Parse(text)
	return d, err == nil
}

// Stat implements object.Store.
func (l *Live) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := object.CheckName(name); err != nil {
		return object.Info{}, err
	}
	if kind(name) == packsDir {
		d, ok := packNamed(name)
		if !ok {
			return object.Info{}, object.ErrNotFound(name)
		}
		if size, ok := l.views.size(d); ok {
			return object.Info{Name: name, Size: size}, nil
		}
		return l.uploads.Stat(ctx, name)
	}
	data, _, err := l.Get(ctx, name)
	return object.Info{Name: name, Size: int64(len(data))}, err
}

// Settle implements object.Store: what is shown is durable.
func (l *Live) Settle(ctx context.Context, name string) error {
	_, err := l.Stat(ctx, name)
	return err
}

// List implements object.Store. Of packs and lists those that were put are listed.
func (l *Live) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	if strings.HasPrefix(refsDir, prefix) {
		if err := l.db.Gather(ctx); err != nil {
			return nil, err
		}
	}
	l.deciding.RLock()
	defer l.deciding.RUnlock()
	out, err := l.uploads.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	refs, err := l.db.Refs(ctx)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(MarkerName, prefix) {
		data, _, err := l.Get(ctx, MarkerName)
		if err != nil {
			return nil, err
		}
		out = append(out, object.Info{Name: MarkerName, Size: int64(len(data))})
	}
	for name, t := range refs {
		if n := refObject(name); strings.HasPrefix(n, prefix) {
			t.List = hash.Sum(nil) // any is as long as that which Get gives
			out = append(out, object.Info{Name: n, Size: int64(len(value{Target: t, nonce: servedNonce}.encode(name)))})
		}
	}
	object.SortInfos(out)
	return out, nil
}

// Delete implements object.Store: a database collects its garbage itself.
func (l *Live) Delete(context.Context, string) error {
	return errs.New(errs.Unsupported, "%s is a server's database, of which single objects are not removed", l.url)
}

// DeleteIf implements object.Store.
func (l *Live) DeleteIf(ctx context.Context, name string, _ object.Generation) error {
	return l.Delete(ctx, name)
}
