// Package mem is an object store in memory, for tests.
package mem

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in memory. Its zero value is empty.
type Store struct {
	mu  sync.Mutex
	n   int
	all map[string]entry
}

type entry struct {
	data []byte
	g    object.Generation
}

var _ object.Store = (*Store)(nil)

// URL implements object.Store.
func (s *Store) URL() string { return "mem://" }

func (s *Store) find(ctx context.Context, name string) (entry, error) {
	if err := ctx.Err(); err != nil {
		return entry{}, errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.all[name]
	if !ok {
		return e, object.ErrNotFound(name)
	}
	return e, nil
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	e, err := s.find(ctx, name)
	return bytes.Clone(e.data), e.g, err
}

// GetRange implements object.Store.
func (s *Store) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	e, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	if have := int64(len(e.data)); off+int64(len(b)) > have {
		return object.ErrShort(name, have, off+int64(len(b)))
	}
	copy(b, e.data[off:])
	return nil
}

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return err
	}
	data, err := object.ReadBody(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !on.Holds(s.all[name].g) {
		return object.ErrCondition(name)
	}
	if s.all == nil {
		s.all = map[string]entry{}
	}
	s.n++
	s.all[name] = entry{data, object.Generation(strconv.Itoa(s.n))}
	return nil
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.With(errs.Canceled, err)
	}
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []object.Info
	for name, e := range s.all {
		if strings.HasPrefix(name, prefix) {
			out = append(out, object.Info{Name: name, Size: int64(len(e.data))})
		}
	}
	object.SortInfos(out)
	return out, nil
}

// Settle implements object.Store.
func (s *Store) Settle(ctx context.Context, name string) error {
	_, err := s.find(ctx, name)
	return err
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (object.Info, error) {
	e, err := s.find(ctx, name)
	return object.Info{Name: name, Size: int64(len(e.data))}, err
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
	return nil
}

// DeleteIf implements object.Store.
func (s *Store) DeleteIf(ctx context.Context, name string, g object.Generation) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.all[name]; !ok || e.g != g {
		return object.ErrCondition(name)
	}
	delete(s.all, name)
	return nil
}
