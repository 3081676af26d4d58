package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/stemmadb/stemma/internal/errs"
)

// Mem is a file system in memory that remembers which bytes and names are durable (V1, V2), for tests.
type Mem struct {
	mu    sync.Mutex
	names map[string]*inode // as programs see them
	saved map[string]*inode // as they are on the disk
	queue []nameOp          // changes of names that are not saved yet, oldest first
	dirs  map[string]bool   // durable at once (V4)
	moves []dirMove         // renames of directories that are not durable yet, oldest first
	locks map[string]bool
}

// inode is a file's content.
type inode struct {
	data  []byte   // as programs see it
	saved []byte   // as it is on the disk
	queue []dataOp // changes that are not saved yet, oldest first
}

// dataOp is a write, or a truncation when data is nil.
type dataOp struct {
	off  int64
	data []byte
}

// nameOp is one change of names: new names file when file is set, old names nothing any more. Either may be empty.
type nameOp struct {
	old, new string
	file     *inode
}

// dirMove is one rename of a directory, of which the paths are those of before and after it. It is durable when both directories are synced
// in which the name changed.
type dirMove struct {
	from, to   string
	gone, come bool // whether the directory of from, that of to, was synced since
}

// synced notes that a directory was synced.
func (v *dirMove) synced(dir string) {
	v.gone = v.gone || filepath.Dir(v.from) == dir
	v.come = v.come || filepath.Dir(v.to) == dir
}

// NewMem is an empty file system that holds the root directory and the working directory.
func NewMem() *Mem {
	return &Mem{
		names: map[string]*inode{}, saved: map[string]*inode{}, locks: map[string]bool{},
		dirs: map[string]bool{".": true, string(filepath.Separator): true},
	}
}

func pathError(op, name string, err error) error {
	return classify(&fs.PathError{Op: op, Path: name, Err: err})
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenRW implements FS.
func (m *Mem) OpenRW(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, rw bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[filepath.Clean(name)]
	if n == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &memFile{fs: m, node: n, name: name, rw: rw}, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if !m.dirs[filepath.Dir(path)] {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	if m.dirs[path] {
		return nil, pathError("create", name, syscall.EISDIR)
	}
	n := m.names[path]
	if n == nil {
		n = &inode{}
		m.apply(nameOp{new: path, file: n})
	} else {
		n.truncate(0)
	}
	return &memFile{fs: m, node: n, name: name, rw: true}, nil
}

// apply makes a change of names visible and queues it.
func (m *Mem) apply(op nameOp) {
	op.to(m.names)
	m.queue = append(m.queue, op)
}

func (op nameOp) to(names map[string]*inode) {
	if op.old != "" {
		delete(names, op.old)
	}
	if op.new != "" {
		names[op.new] = op.file
	}
}

// in tells whether the change is one of directory dir.
func (op nameOp) in(dir string) bool {
	return op.old != "" && filepath.Dir(op.old) == dir || op.new != "" && filepath.Dir(op.new) == dir
}

// Rename implements FS.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := filepath.Clean(oldname), filepath.Clean(newname)
	if m.dirs[from] {
		return m.renameDir(oldname, from, to)
	}
	n := m.names[from]
	if n == nil || !m.dirs[filepath.Dir(to)] {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	if from != to {
		m.apply(nameOp{old: from, new: to, file: n})
	}
	return nil
}

// moving gives the paths below one directory those below another; ok is false for other paths.
func moving(from, to string) func(p string) (now string, ok bool) {
	return func(p string) (string, bool) {
		if p == from || strings.HasPrefix(p, from+string(filepath.Separator)) {
			return to + p[len(from):], true
		}
		return p, false
	}
}

// renameDir moves a directory with all that is below it. The caller holds mu.
func (m *Mem) renameDir(oldname, from, to string) error {
	moved := moving(from, to)
	switch _, inside := moved(to); {
	case !m.dirs[filepath.Dir(to)]:
		return pathError("rename", oldname, fs.ErrNotExist)
	case m.dirs[to] || m.names[to] != nil || inside:
		return pathError("rename", oldname, fs.ErrExist)
	}
	m.moveDir(moved)
	m.moves = append(m.moves, dirMove{from: from, to: to})
	return nil
}

// moveDir gives all that is below a directory another path. The caller holds mu.
func (m *Mem) moveDir(moved func(p string) (string, bool)) {
	for _, names := range []map[string]*inode{m.names, m.saved} {
		for _, p := range slices.Collect(maps.Keys(names)) {
			if now, ok := moved(p); ok {
				names[now] = names[p]
				delete(names, p)
			}
		}
	}
	for _, p := range slices.Collect(maps.Keys(m.dirs)) {
		if now, ok := moved(p); ok {
			m.dirs[now] = true
			delete(m.dirs, p)
		}
	}
	for i := range m.queue {
		op := &m.queue[i]
		op.old, _ = moved(op.old)
		op.new, _ = moved(op.new)
	}
}

// Link implements FS.
func (m *Mem) Link(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	to := filepath.Clean(newname)
	n := m.names[filepath.Clean(oldname)]
	switch {
	case n == nil || !m.dirs[filepath.Dir(to)]:
		return pathError("link", oldname, fs.ErrNotExist)
	case m.names[to] != nil || m.dirs[to]:
		return pathError("link", newname, fs.ErrExist)
	}
	m.apply(nameOp{new: to, file: n})
	return nil
}

// Remove implements FS. That of a directory is durable at once.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if m.dirs[path] {
		if len(m.list(path)) > 0 {
			return pathError("remove", name, syscall.ENOTEMPTY)
		}
		delete(m.dirs, path)
		m.saveNames(path) // a directory that is gone durably holds nothing that could come back
		return nil
	}
	if m.names[path] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	m.apply(nameOp{old: path})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir := filepath.Clean(name); !m.dirs[dir]; dir = filepath.Dir(dir) {
		if m.names[dir] != nil {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
		m.dirs[dir] = true
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if !m.dirs[path] {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	return m.list(path), nil
}

func (m *Mem) list(dir string) []string {
	var out []string
	for p := range m.names {
		if filepath.Dir(p) == dir {
			out = append(out, filepath.Base(p))
		}
	}
	for p := range m.dirs {
		if filepath.Dir(p) == dir && p != dir {
			out = append(out, filepath.Base(p))
		}
	}
	slices.Sort(out)
	return out
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if m.dirs[path] {
		return Info{Dir: true}, nil
	}
	if n := m.names[path]; n != nil {
		return Info{Size: int64(len(n.data))}, nil
	}
	return Info{}, pathError("stat", name, fs.ErrNotExist)
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := filepath.Clean(name)
	if !m.dirs[dir] {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	m.saveNames(dir)
	for i := range m.moves {
		m.moves[i].synced(dir)
	}
	m.moves = slices.DeleteFunc(m.moves, func(v dirMove) bool { return v.gone && v.come })
	return nil
}

// saveNames makes the changes of names in a directory durable. The caller holds mu.
func (m *Mem) saveNames(dir string) {
	rest := m.queue[:0]
	for _, op := range m.queue {
		if op.in(dir) {
			op.to(m.saved)
		} else {
			rest = append(rest, op)
		}
	}
	m.queue = rest
}

// Lock implements FS between the users of one Mem.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := filepath.Clean(name)
	if !m.dirs[filepath.Dir(path)] {
		return nil, pathError("lock", name, fs.ErrNotExist)
	}
	if m.locks[path] {
		return nil, errLocked(name, "this process")
	}
	m.locks[path] = true
	if m.names[path] == nil {
		m.apply(nameOp{new: path, file: &inode{}})
	}
	return &memLock{fs: m, path: path}, nil
}

// memLock is a lock that Mem gave out.
type memLock struct {
	fs   *Mem
	path string
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.path)
	})
	return nil
}

// DiskFree implements FS: memory has no limit here.
func (m *Mem) DiskFree(string) (int64, error) { return math.MaxInt64, nil }

// Files is the sorted list of all names, with the lengths that programs see: the answer to "what is there" in tests.
func (m *Mem) Files() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for p, n := range m.names {
		lines = append(lines, fmt.Sprintf("%s %d\n", filepath.ToSlash(p), len(n.data)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (n *inode) write(p []byte, off int64) {
	n.data = writeInto(n.data, p, off)
	n.queue = append(n.queue, dataOp{off: off, data: slices.Clone(p)})
}

func (n *inode) truncate(size int64) {
	n.data = resize(n.data, size)
	n.queue = append(n.queue, dataOp{off: size})
}

func (n *inode) sync() {
	for _, op := range n.queue {
		n.saved = op.to(n.saved)
	}
	n.queue = nil
}

func (op dataOp) to(data []byte) []byte {
	if op.data == nil {
		return resize(data, op.off)
	}
	return writeInto(data, op.data, op.off)
}

func writeInto(dst, p []byte, off int64) []byte {
	if end := off + int64(len(p)); end > int64(len(dst)) {
		dst = resize(dst, end)
	}
	copy(dst[off:], p)
	return dst
}

// resize sets the length; what is added is zero even where the array held older bytes.
func resize(data []byte, size int64) []byte {
	old := int64(len(data))
	if size <= old {
		return data[:size]
	}
	data = slices.Grow(data, int(size-old))[:size]
	clear(data[old:])
	return data
}

// memFile is an open file of Mem.
type memFile struct {
	fs     *Mem
	node   *inode
	name   string
	rw     bool
	closed bool // guarded by fs.mu
}

func (f *memFile) Name() string { return f.name }

// enter takes the lock and checks that the file can be used so; leave by fs.mu.Unlock even when it fails.
func (f *memFile) enter(op string, write bool) error {
	f.fs.mu.Lock()
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.rw {
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	err := f.enter("read", false)
	defer f.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, errs.With(errs.Invalid, errors.New("read at a negative offset"))
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.enter("write", true)
	defer f.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, errs.With(errs.Invalid, errors.New("write at a negative offset"))
	}
	if len(p) > 0 {
		f.node.write(p, off)
	}
	return len(p), nil
}

func (f *memFile) Close() error {
	err := f.enter("close", false)
	defer f.fs.mu.Unlock()
	f.closed = true
	return err
}

func (f *memFile) Size() (int64, error) {
	err := f.enter("stat", false)
	defer f.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

func (f *memFile) Sync() error {
	err := f.enter("sync", false)
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.node.sync()
	return nil
}

func (f *memFile) Truncate(size int64) error {
	err := f.enter("truncate", true)
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.node.truncate(size)
	return nil
}

func (f *memFile) Preallocate(off, n int64) error { return writeZeros(f, off, n) }
