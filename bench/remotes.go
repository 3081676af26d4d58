package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stemmadb/stemma/internal/object/gs/gstest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
	"github.com/stemmadb/stemma/internal/table"
)

// benchRemotes pushes the price list's database to a directory and to emulators of buckets in this process, clones it from there, and
// pushes and fetches small changes.
func benchRemotes(ctx context.Context, e *env) error {
	s := e.own()
	base, err := s.base(ctx, e)
	if err != nil {
		return err
	}
	dir, err := s.copyOf(base, "remotes")
	if err != nil {
		return err
	}
	if err := e.directoryRemote(ctx, dir); err != nil {
		return err
	}
	if err := e.smallFetch(ctx, dir); err != nil {
		return err
	}
	for _, b := range []struct {
		kind  string
		serve func(string) (*objecttest.Server, map[string]string, error)
	}{{"gs", gstest.Serve}, {"s3", s3test.Serve}} {
		if err := e.bucketRemote(ctx, dir, b.kind, b.serve); err != nil {
			return fmt.Errorf("%s: %w", b.kind, err)
		}
	}
	return nil
}

// bucketColumn reads one column of a remote in a bucket into Python, of which nothing is here yet.
func (e *env) bucketColumn(ctx context.Context, srv *objecttest.Server, dir, url, name string) error {
	if e.python == "" {
		fmt.Fprintln(e.out, "  without a Python that has the package's requirements: name one with -python")
		return nil
	}
	size, err := columnBytes(ctx, dir, "price")
	if err != nil {
		return err
	}
	cache := filepath.Join(e.own().home, "remotes_cache")
	var parts, requests, times []float64
	for range e.count {
		if err := os.RemoveAll(cache); err != nil {
			return err
		}
		srv.Reset()
		cmd := pythonCommand(ctx, e, e.own().prepare(ctx, e.own().home, nil), []string{url, "column", fmt.Sprint(len(e.places()))})
		cmd.Env = append(cmd.Env, "STEMMA_CACHE="+cache)
		cmd.Stderr = os.Stderr
		u, err := measure(cmd)
		if err != nil {
			return err
		}
		list, _ := srv.Requests()
		parts, requests, times = append(parts, float64(srv.Answered())/float64(size)), append(requests, float64(len(list))), append(times, u.Seconds)
		if err := noOwners(ctx, cache); err != nil {
			return err
		}
	}
	e.record(name+": read, of the column's bytes", "", atMost(1.5), parts...)
	e.record(name+": requests", "", nil, requests...)
	e.record(name, "s", nil, times...)
	return os.RemoveAll(cache)
}

// noOwners waits until nobody owns a database in or below a directory.
func noOwners(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".stemma" {
			return unowned(ctx, path)
		}
		if errors.Is(err, fs.ErrNotExist) { // it was the owner's
			err = nil
		}
		return err
	})
}

// columnBytes is the encoded length of a column of the price list.
func columnBytes(ctx context.Context, dir, column string) (size int64, err error) {
	r, err := openRepo(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	v, err := workingTable(ctx, r, "prices")
	if err != nil {
		return 0, err
	}
	at := v.Schema().ColumnIndex(column)
	for s := v.Scan(table.ScanOptions{Rows: table.RowsTree}); ; {
		b, ok, err := s.Next(ctx)
		if err != nil || !ok {
			return size, err
		}
		size += int64(b.Page.ColumnBytes(at))
	}
}

// directoryRemote compares push and clone with a copy of the remote's files that is synced.
func (e *env) directoryRemote(ctx context.Context, dir string) error {
	s := e.own()
	var pushes, clones, copies []float64
	remote, other := filepath.Join(s.home, "remotes_dir"), filepath.Join(s.home, "remotes_clone")
	url := "file://" + remote
	if _, _, err := s.command(ctx, dir, "remote", "add", "dir", url); err != nil {
		return err
	}
	for range e.count {
		if err := os.RemoveAll(remote); err != nil {
			return err
		}
		_, u, err := s.command(ctx, dir, "push", "dir", "main")
		if err != nil {
			return err
		}
		pushes = append(pushes, u.Seconds)
		if err := os.RemoveAll(other); err != nil {
			return err
		}
		if _, u, err = s.command(ctx, s.home, "clone", url, other); err != nil {
			return err
		}
		clones = append(clones, u.Seconds)
		copied := filepath.Join(s.home, "remotes_copy")
		took, err := seconds(func() error { return copySynced(remote, copied) })
		if err := errors.Join(err, os.RemoveAll(copied)); err != nil {
			return err
		}
		copies = append(copies, took)
	}
	cp := median(copies)
	e.record("copy of the remote's files, synced", "s", nil, copies...)
	e.record("push to a directory", "s", atMost(1.5*cp), pushes...)
	e.record("clone of a directory", "s", atMost(1.5*cp), clones...)
	return nil
}

// copySynced copies the files of a directory and syncs each.
func copySynced(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o777)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(target)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Sync(), out.Close())
	})
}

// smallFetch fetches many commits of one row each from a directory.
func (e *env) smallFetch(ctx context.Context, dir string) error {
	s := e.own()
	n := e.part(1000)
	clone := filepath.Join(s.home, "remotes_clone")
	ahead, err := s.copyOf(dir, "remotes_ahead")
	if err != nil {
		return err
	}
	if err := e.commitEach(ctx, ahead, n); err != nil {
		return err
	}
	if _, _, err := s.command(ctx, ahead, "push", "dir", "main"); err != nil {
		return err
	}
	var times []float64
	for range e.count {
		behind, err := s.copyOf(clone, "remotes_behind")
		if err != nil {
			return err
		}
		_, u, err := s.command(ctx, behind, "fetch")
		if err != nil {
			return err
		}
		times = append(times, u.Seconds)
	}
	e.record(fmt.Sprintf("fetch of %d small commits", n), "s", atMost(1), times...)
	return nil
}

// commitEach changes n rows of the price list, each in a commit of its own.
func (e *env) commitEach(ctx context.Context, dir string, n int) (err error) {
	r, err := openRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	for i, x := range e.someEdits(n, false, 3) {
		if err := apply(ctx, r, []edit{x}, fmt.Sprintf("price %d", i)); err != nil {
			return err
		}
	}
	return nil
}

// bucketRemote clones from a bucket, whose server is late too, and pushes a small change.
func (e *env) bucketRemote(ctx context.Context, dir, kind string, serve func(bucket string) (*objecttest.Server, map[string]string, error)) error {
	s := e.own()
	srv, env, err := serve("data")
	if err != nil {
		return err
	}
	defer srv.Close()
	for k, v := range env {
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	name := func(what string) string { return kind + ": " + what }
	url := kind + "://data/prices"
	ours, err := s.copyOf(dir, "remotes_ours")
	if err != nil {
		return err
	}
	if _, _, err := s.command(ctx, ours, "remote", "add", kind, url); err != nil {
		return err
	}
	_, u, err := s.command(ctx, ours, "push", kind, "main")
	if err != nil {
		return err
	}
	_, sent := srv.Requests()
	e.record(name("push"), "MB/s", nil, float64(sent)/1e6/u.Seconds)
	clone := filepath.Join(s.home, "remotes_bucket")
	for _, c := range []struct {
		name  string
		delay time.Duration
		least float64
	}{{"clone", 0, 150}, {"clone, each answer 50 ms late", 50 * time.Millisecond, 80}} {
		srv.Delay = c.delay
		var rates, peaks []float64
		for range e.count {
			srv.Reset()
			if err := os.RemoveAll(clone); err != nil {
				return err
			}
			_, u, err := s.command(ctx, s.home, "clone", url, clone)
			if err != nil {
				return err
			}
			rates = append(rates, float64(srv.Answered())/1e6/u.Seconds)
			peaks = append(peaks, float64(u.Peak)/1e6)
		}
		e.record(name(c.name), "MB/s", atLeast(c.least), rates...)
		e.record(name(c.name+": peak memory"), "MB", atMost(200), peaks...)
	}
	srv.Delay = 0
	if err := e.bucketColumn(ctx, srv, ours, url, name("read_pandas of one column, no clone")); err != nil {
		return err
	}
	var times, requests, bytes []float64
	for k := range e.count {
		r, err := openRepo(ctx, ours)
		if err != nil {
			return err
		}
		err = apply(ctx, r, e.someEdits(e.part(1000), false, uint64(k)+7), fmt.Sprintf("change %d", k))
		if err := errors.Join(err, r.Close(ctx)); err != nil {
			return err
		}
		srv.Reset()
		_, u, err := s.command(ctx, ours, "push", kind, "main")
		if err != nil {
			return err
		}
		list, sent := srv.Requests()
		times, requests, bytes = append(times, u.Seconds*1e3), append(requests, float64(len(list))), append(bytes, float64(sent)/1e6)
	}
	what := fmt.Sprintf("push after %d changed rows", e.part(1000))
	e.record(name(what), "ms", atMost(300), times...)
	e.record(name(what+": requests"), "", atMost(10), requests...)
	e.record(name(what+": sent"), "MB", atMost(8), bytes...)
	return nil
}
