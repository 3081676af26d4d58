package sync

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Partial says what a database lacks that is a part of another. It is kept beside the store; what it says is missing may be there all the same.
type Partial struct {
	URL     string             // of the remote that has the rest
	Lazy    bool               // what is missing is read from there when it is asked for
	Most    int64              // with Lazy: bytes that are kept of what was read
	Lists   []hash.Hash        // with Lazy: lists of packs which together hold what is missing
	Shallow []history.CommitID // commits whose parents are missing
	Tables  []string           // lower-case names of the tables that are there, system tables among them, ascending; nil for all
	Mirror  bool               // with Lazy: its branches and tags are those of the remote, and nothing else changes it
	Kept    bool               // with Mirror: what is changed here is changed there: see Keeper
}

// cacheName is the directory, in that of the store, of what a lazy one has read.
const cacheName = "cache"

// The first lines of the file. A program that does not know mirrors must not write one.
const (
	partialWords = "stemma partial 1"
	mirrorWords  = "stemma partial 2"
	keptWords    = "stemma partial 3"
)

// ReadPartial reads what a database in the directory dir of a store lacks; nil when it is whole.
func ReadPartial(fs vfs.FS, dir string) (*Partial, error) {
	data, err := vfs.ReadFile(fs, filepath.Join(dir, pack.PartialFile))
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := decodePartial(data)
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", filepath.Join(dir, pack.PartialFile), err)
	}
	return p, nil
}

func (p *Partial) encode() []byte {
	var b bytes.Buffer
	switch {
	case p.Kept:
		fmt.Fprintln(&b, keptWords)
	case p.Mirror:
		fmt.Fprintln(&b, mirrorWords)
	default:
		fmt.Fprintln(&b, partialWords)
	}
	fmt.Fprintf(&b, "remote %s\n", strconv.Quote(p.URL))
	if p.Lazy {
		fmt.Fprintf(&b, "lazy %d\n", p.Most)
	}
	if p.Mirror {
		fmt.Fprintln(&b, "mirror")
	}
	if p.Kept {
		fmt.Fprintln(&b, "kept")
	}
	for _, h := range p.Lists {
		fmt.Fprintf(&b, "list %s\n", h.Full())
	}
	for _, id := range p.Shallow {
		fmt.Fprintf(&b, "shallow %s\n", id.Full())
	}
	for _, t := range p.Tables {
		fmt.Fprintf(&b, "table %s\n", strconv.Quote(t))
	}
	fmt.Fprintln(&b, "end")
	return b.Bytes()
}

func decodePartial(data []byte) (*Partial, error) {
	p := &Partial{}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != partialWords && sc.Text() != mirrorWords && sc.Text() != keptWords {
		if strings.HasPrefix(sc.Text(), "stemma partial ") {
			return nil, errs.New(errs.TooNew, "it was written by a newer stemma; use one")
		}
		return nil, errs.New(errs.Corrupt, "it does not begin as it should")
	}
	for sc.Scan() {
		word, rest, _ := strings.Cut(sc.Text(), " ")
		var err error
		var h hash.Hash
		var text string
		switch word {
		case "remote":
			p.URL, err = strconv.Unquote(rest)
		case "lazy":
			p.Lazy = true
			p.Most, err = strconv.ParseInt(rest, 10, 64)
		case "mirror":
			p.Mirror = true
		case "kept":
			p.Kept = true
		case "list":
			h, err = hash.Parse(rest)
			p.Lists = append(p.Lists, h)
		case "shallow":
			h, err = hash.Parse(rest)
			p.Shallow = append(p.Shallow, h)
		case "table":
			text, err = strconv.Unquote(rest)
			p.Tables = append(p.Tables, text)
		case "end":
			return p, nil
		default:
			err = errs.New(errs.Corrupt, "unknown word")
		}
		if err != nil {
			return nil, errs.New(errs.Corrupt, "the line %q cannot be understood", sc.Text())
		}
	}
	return nil, errs.New(errs.Corrupt, "it is cut short")
}

// Write keeps p, durably, in the directory of a store, which is noted to be a part.
func (p *Partial) Write(fs vfs.FS, dir string) error {
	if err := pack.SetPartial(fs, dir, true); err != nil {
		return err
	}
	return vfs.WriteFile(fs, filepath.Join(dir, pack.PartialFile), p.encode())
}

// EndPartial notes, durably, that the store in a directory lacks nothing any more.
func EndPartial(fs vfs.FS, dir string) error {
	if err := pack.SetPartial(fs, dir, false); err != nil {
		return err
	}
	if err := fs.Remove(filepath.Join(dir, pack.PartialFile)); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if _, err := fs.Stat(filepath.Join(dir, cacheName)); err == nil {
		if err := vfs.RemoveAll(fs, filepath.Join(dir, cacheName)); err != nil {
			return err
		}
	}
	return fs.SyncDir(dir)
}

// With is p with what else is missing, or is to be found in the lists of other targets.
func (p *Partial) With(shallow []history.CommitID, targets ...Target) *Partial {
	out := *p
	out.Shallow = union(p.Shallow, shallow)
	if p.Lazy {
		var lists []hash.Hash
		for _, t := range targets {
			lists = append(lists, t.List)
		}
		out.Lists = union(p.Lists, lists)
	}
	return &out
}

func union(a, b []hash.Hash) []hash.Hash {
	out := slices.Clone(a)
	for _, h := range b {
		if !h.IsZero() && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// Why is what messages say of something that is missing.
func (p *Partial) Why() string {
	var what []string
	if len(p.Shallow) > 0 {
		what = append(what, "without its older history")
	}
	how := "bring the rest with 'stemma fetch --complete'"
	if p.Tables != nil {
		own := slices.DeleteFunc(slices.Clone(p.Tables), root.IsSystem)
		if len(own) == len(p.Tables) { // as programs made it that did not take them along
			how = "bring the system tables with 'stemma fetch', and the rest with 'stemma fetch --complete'"
		} else if len(own) == 0 {
			own = p.Tables
		}
		what = append(what, "with the tables "+strings.Join(own, ", ")+" only")
	}
	return fmt.Sprintf("the database is a part of %s, %s; %s", p.URL, strings.Join(what, " and "), how)
}

// ErrMirror is the error for a change of a database that is a mirror.
func (p *Partial) ErrMirror() error {
	if p.Kept {
		return errs.New(errs.Unsupported, "the database is kept at %s, and this cannot be done to it there: make a clone with 'stemma clone %s', do it there, and push", p.URL, p.URL)
	}
	return errs.New(errs.ReadOnly, "what is at %s is read without a clone, and cannot be written: make one with 'stemma clone %s', write there, and push", p.URL, p.URL)
}

// Cut tells whether the parents of a commit are missing.
func (p *Partial) Cut(id history.CommitID) bool { return p != nil && slices.Contains(p.Shallow, id) }

// HasTable tells whether a table of that name is there.
func (p *Partial) HasTable(name string) bool {
	if p == nil || p.Tables == nil {
		return true
	}
	_, ok := slices.BinarySearch(p.Tables, strings.ToLower(name))
	return ok
}

// Elsewhere is where what is missing in the store in a directory is to be had. Who only reads keeps nothing of it on the disk.
func (p *Partial) Elsewhere(fs vfs.FS, dir string, readOnly bool) pack.Elsewhere {
	if !p.Lazy {
		return refusing{p}
	}
	// All who read a mirror keep what they read: it is there for that, and its user's own.
	return &lazily{p: p, cache: &Cache{FS: fs, Dir: filepath.Join(dir, cacheName), Most: p.Most, ReadOnly: readOnly && !p.Mirror}, fs: fs}
}

// Renew makes the Elsewhere of an earlier state of p, which may be in use, that of p; it is false when it cannot be. What was in packs that the
// remote named then is still found there.
func (p *Partial) Renew(e pack.Elsewhere) bool {
	l, ok := e.(*lazily)
	if !ok || !p.Lazy {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.p.URL != p.URL || l.p.Most != p.Most {
		return false
	}
	l.p, l.renewed = p, true
	return true
}

// refusing has nothing, and says so.
type refusing struct{ p *Partial }

// Record implements pack.Elsewhere.
func (r refusing) Record(_ context.Context, h hash.Hash) ([]byte, error) {
	return nil, errs.With(errs.NotFound, &chunk.Absent{Hash: h, Else: "what this needs", Why: r.p.Why()})
}

// lazily reads what is missing from a remote, which is opened when it is asked the first time.
type lazily struct {
	p     *Partial
	cache *Cache
	fs    vfs.FS

	mu      gosync.Mutex
	src     *Source
	known   map[hash.Hash]bool // the lists of src
	renewed bool               // p names lists that src does not know
}

// Record implements pack.Elsewhere.
func (l *lazily) Record(ctx context.Context, h hash.Hash) ([]byte, error) {
	var rec []byte
	err := l.ask(ctx, func(src *Source) (err error) {
		rec, err = src.Record(ctx, h)
		return err
	})
	return rec, err
}

// Beginning implements pack.Finder.
func (l *lazily) Beginning(ctx context.Context, text string, kind chunk.Kind) ([]hash.Hash, error) {
	var out []hash.Hash
	err := l.ask(ctx, func(src *Source) (err error) {
		out, err = src.Beginning(ctx, text, kind)
		return err
	})
	return out, err
}

// ask asks the remote's packs, and again those that it has by then if it has taken some away.
func (l *lazily) ask(ctx context.Context, question func(*Source) error) error {
	src, err := l.source(ctx, nil)
	if err == nil {
		if err = question(src); isLost(err) {
			if src, err = l.source(ctx, src); err == nil {
				err = question(src)
			}
		}
	}
	if err != nil {
		l.mu.Lock()
		url := l.p.URL
		l.mu.Unlock()
		err = fmt.Errorf("read what this database leaves at %s: %w", url, err)
	}
	return err
}

// source is the packs of the remote, others than those of stale, which it has taken away.
func (l *lazily) source(ctx context.Context, stale *Source) (*Source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.src != nil && l.src != stale {
		if !l.renewed {
			return l.src, nil
		}
		news := slices.DeleteFunc(l.listed(), func(t Target) bool { return l.known[t.List] })
		err := l.src.Add(ctx, news...)
		if err == nil {
			l.renewed = false
			l.know(l.listed())
			return l.src, nil
		}
		if !isLost(err) {
			return nil, err
		}
		stale = l.src
	}
	r, err := OpenURL(ctx, l.fs, l.p.URL)
	if err != nil {
		return nil, err
	}
	src := &Source{Remote: r, Cache: l.cache}
	if stale == nil {
		err = src.Add(ctx, l.listed()...)
	}
	if stale != nil || isLost(err) {
		var refs map[string]Ref
		if refs, _, err = r.allRefs(ctx); err != nil {
			return nil, err
		}
		var targets []Target
		for _, n := range names(refs) {
			targets = append(targets, Target{List: refs[n].List})
		}
		src = &Source{Remote: r, Cache: l.cache}
		err = src.Add(ctx, targets...)
	}
	if err != nil {
		return nil, err
	}
	l.src, l.renewed = src, false
	l.know(l.listed())
	return src, nil
}

// know notes that the source has these lists, and no others. The caller holds the lock.
func (l *lazily) know(lists []Target) {
	l.known = map[hash.Hash]bool{}
	for _, t := range lists {
		l.known[t.List] = true
	}
}

// listed is the lists of packs that p names. The caller holds the lock.
func (l *lazily) listed() []Target {
	var out []Target
	for _, h := range l.p.Lists {
		out = append(out, Target{List: h})
	}
	return out
}

var opener struct {
	gosync.Mutex
	open func(ctx context.Context, fs vfs.FS, url string) (*Remote, error)
}

// Register makes open what OpenURL does. Package remote calls it, which knows the kinds of URLs.
func Register(open func(ctx context.Context, fs vfs.FS, url string) (*Remote, error)) {
	opener.Lock()
	defer opener.Unlock()
	opener.open = open
}

// OpenURL opens the remote at a normal URL; fs is that of file:// ones.
func OpenURL(ctx context.Context, fs vfs.FS, url string) (*Remote, error) {
	opener.Lock()
	open := opener.open
	opener.Unlock()
	if open == nil {
		return nil, errs.New(errs.Unsupported, "this program opens no remotes")
	}
	return open(ctx, fs, url)
}
