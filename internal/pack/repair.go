package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Damaged is a pack file that is not as it was written.
type Damaged struct {
	Path     string
	Problems []Problem // one at least
}

// Examine reads all pack files of the store in a directory, those that no store could be opened with included, and gives the damaged ones
// ordered by path. A pack that cannot be read for another reason, such as that the user may not or too many files are open, is an error. The caller holds the directory's lock.
func Examine(ctx context.Context, fsys vfs.FS, dir string) ([]Damaged, error) {
	names, err := fsys.ReadDir(filepath.Join(dir, packsDir))
	if err != nil {
		return nil, fmt.Errorf("list packs: %w", err)
	}
	slices.Sort(names)
	c := newCodecs()
	var out []Damaged
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, errs.With(errs.Canceled, err)
		}
		if !strings.HasSuffix(name, packExt) {
			continue
		}
		d := Damaged{Path: filepath.Join(dir, packsDir, name)}
		err := examine(ctx, fsys, d.Path, c, func(p Problem) { d.Problems = append(d.Problems, p) })
		if e := ctx.Err(); e != nil {
			return nil, errs.With(errs.Canceled, e)
		}
		switch {
		case errs.Is(err, errs.Corrupt), errs.Is(err, errs.TooNew), errors.Is(err, syscall.EIO): // the last is a damaged disk
			d.Problems = append(d.Problems, Problem{File: d.Path, Err: err})
		case err != nil: // nothing is known of the pack
			return nil, err
		}
		if len(d.Problems) > 0 {
			out = append(out, d)
		}
	}
	return out, nil
}

func examine(ctx context.Context, fsys vfs.FS, path string, c *codecs, report func(Problem)) error {
	p, err := openPack(fsys, path, true)
	if err != nil {
		return err
	}
	return errors.Join(p.verify(ctx, c, report), p.close())
}

// SetAside gives files of the store in a directory a second name in a new directory, durably, and returns that. What is done later to their
// first names does not reach them there.
func SetAside(fsys vfs.FS, dir string, paths []string) (string, error) {
	var aside string
	for i := 1; aside == ""; i++ {
		path := filepath.Join(dir, fmt.Sprintf("%s%d", AsidePrefix, i))
		if _, err := fsys.Stat(path); errs.Is(err, errs.NotFound) {
			aside = path
		} else if err != nil {
			return "", err
		}
	}
	subs := []string{journalDir, packsDir}
	for _, sub := range subs {
		if err := fsys.MkdirAll(filepath.Join(aside, sub)); err != nil {
			return "", err
		}
	}
	for _, path := range paths {
		to := filepath.Join(aside, filepath.Base(filepath.Dir(path)), filepath.Base(path))
		err := fsys.Link(path, to)
		if errs.Is(err, errs.Unsupported) || errs.Is(err, errs.Denied) {
			var data []byte
			if data, err = vfs.ReadFile(fsys, path); err == nil {
				err = vfs.WriteFile(fsys, to, data)
			}
		}
		if err != nil {
			return "", err
		}
	}
	for _, sub := range subs {
		if err := fsys.SyncDir(filepath.Join(aside, sub)); err != nil {
			return "", err
		}
	}
	return aside, nil
}

// Salvage puts the chunks of a damaged pack that can still be read into a batch of the store, and counts the records. Where the index
// cannot be read the records are taken one behind the other, as far as they can be told apart. Where the pack's dictionary cannot be read those of
// other packs in the directory are tried, for the hash of a chunk tells whether it was the right one.
func (b *Batch) Salvage(ctx context.Context, path string) (kept int, err error) {
	var dict *Dictionary
	own := false
	others := sync.OnceValue(func() []*Dictionary { return b.s.dictionariesBeside(path) })
	put := func(rec []byte, e error) error {
		if e == nil {
			if d, err := readDictionary(rec); err == nil { // it is none of the database's chunks
				dict, own = d, true
				return nil
			}
			e = b.PutRecord(ctx, rec, dict)
			if _, bad := parseRecord(rec); errs.Is(e, errs.Corrupt) && bad == nil && !own && NeedsDictionary(rec) {
				for _, d := range others() {
					if e = b.PutRecord(ctx, rec, d); !errs.Is(e, errs.Corrupt) {
						dict = d
						break
					}
				}
			}
		}
		if e == nil {
			kept++
		} else if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		} else if rec != nil && !errs.Is(e, errs.Corrupt) && !errs.Is(e, errs.TooNew) {
			return e // of the place to which it is copied
		}
		return nil
	}
	p, err := openPack(b.s.fsys, path, false)
	if err == nil {
		return kept, errors.Join(p.salvage(put), p.close())
	}
	f, err := b.s.fsys.Open(path)
	if errs.Is(err, errs.NotFound) || errors.Is(err, syscall.EIO) {
		return 0, nil // there is nothing to be read
	}
	if err != nil { // such as a file that this user may not open, and that may be sound
		return 0, err
	}
	size, err := f.Size()
	if err != nil {
		return 0, errors.Join(nil, f.Close())
	}
	w := &window{f: f, end: size}
	for off := int64(packHeader); ; {
		head, err := w.bytes(off, recordHeader)
		if err != nil {
			break
		}
		_, length, err := parseRecordHeader(head)
		if err != nil {
			break
		}
		rec, err := w.bytes(off, recordHeader+int64(length))
		if err != nil {
			break
		}
		if err := put(rec, nil); err != nil {
			return kept, errors.Join(err, f.Close())
		}
		off += recordHeader + int64(length)
	}
	return kept, f.Close()
}

// dictionariesBeside is the dictionaries that can be read of the other packs in the directory, whether the store has them or not.
func (s *Store) dictionariesBeside(path string) (out []*Dictionary) {
	names, err := s.fsys.ReadDir(s.packsPath)
	if err != nil {
		return nil
	}
	for _, name := range names {
		other := filepath.Join(s.packsPath, name)
		if !strings.HasSuffix(name, packExt) || other == path {
			continue
		}
		d := dictionaryIn(s.fsys, other)
		if d != nil && !slices.ContainsFunc(out, func(x *Dictionary) bool { return x.hash == d.hash }) {
			out = append(out, d)
		}
	}
	return out
}

// dictionaryIn is the dictionary with which a pack begins, whatever follows it; nil when there is none that can be read.
func dictionaryIn(fsys vfs.FS, path string) *Dictionary {
	f, err := fsys.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, recordHeader)
	if readFull(f, head, packHeader) != nil {
		return nil
	}
	_, length, err := parseRecordHeader(head)
	if err != nil || length > maxDictionary {
		return nil
	}
	rec := make([]byte, recordHeader+int(length))
	if readFull(f, rec, packHeader) != nil {
		return nil
	}
	d, err := readDictionary(rec)
	if err != nil {
		return nil
	}
	return d
}

// salvage gives every record that the index lists, or why it cannot be read.
func (p *file) salvage(put func(rec []byte, err error) error) error {
	type span struct{ off, n int64 }
	spans := make([]span, p.idx.len())
	for i := range spans {
		spans[i] = span{int64(p.idx.off(i)), recordHeader + int64(p.idx.length(i))}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.off - b.off) })
	w := &window{f: p.f, end: int64(p.ft.indexOff)}
	for _, s := range spans {
		rec, err := w.bytes(s.off, s.n)
		if err != nil { // perhaps of what is read ahead
			rec = make([]byte, s.n)
			if err = readFull(p.f, rec, s.off); err != nil {
				rec = nil
			}
		}
		if err := put(rec, err); err != nil {
			return err
		}
	}
	return nil
}

// Missing is the digests of the packs that the journal lists and that were not there when the store was opened, ordered.
func (s *Store) Missing() []hash.Hash { return s.missing }

// missing is the digests of packs that are listed and not there, those at the paths in without apart.
func (l *loaded) missing(without []string) []hash.Hash {
	there := map[hash.Hash]bool{}
	for _, path := range without {
		if d, err := hash.Parse(strings.TrimSuffix(filepath.Base(path), packExt)); err == nil {
			there[d] = true
		}
	}
	for _, p := range l.packs {
		there[p.ft.digest] = true
	}
	var out []hash.Hash
	for d := range l.listing.names {
		if !there[d] {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b hash.Hash) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Replace ends the use of packs that the store was opened without, of which SetAside has kept a copy: what could be read of them is in the
// store by other names, durably. The journal lists the packs that there are, and then the files go; one whose name another pack has by now
// stays.
func (s *Store) Replace(ctx context.Context, paths []string) error {
	if err := s.listAll(ctx, nil); err != nil {
		return err
	}
	for _, path := range paths {
		if s.hasPack(strings.TrimSuffix(filepath.Base(path), packExt)) {
			continue
		}
		if err := s.fsys.Remove(path); err != nil && !errs.Is(err, errs.NotFound) {
			return fmt.Errorf("replace pack %s: %w", path, err)
		}
	}
	return s.fsys.SyncDir(s.packsPath)
}
