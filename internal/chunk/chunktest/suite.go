// Package chunktest is the conformance suite of chunk.Store: what every store must do, whatever it keeps chunks in.
package chunktest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Suite runs the tests; open makes an empty store for each.
func Suite(t *testing.T, open func(t *testing.T) chunk.Store) {
	t.Run("absent", func(t *testing.T) { absent(t, open(t)) })
	t.Run("put-get", func(t *testing.T) { putGet(t, open(t)) })
	t.Run("twice", func(t *testing.T) { twice(t, open(t)) })
	t.Run("sizes", func(t *testing.T) { sizes(t, open(t)) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, open(t)) })
	t.Run("stays-valid", func(t *testing.T) { staysValid(t, open(t)) })
}

// Sample is a chunk of n bytes (at least 2) of kind k whose content depends on seed only: half random, half repeating, so that
// stores that compress meet both.
func Sample(k chunk.Kind, n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	data := make([]byte, max(n, 2))
	for i := range data {
		if i%64 < 32 {
			data[i] = byte(rng.Uint32())
		} else {
			data[i] = byte(i)
		}
	}
	data[0], data[1] = byte(k), 1
	return data
}

func absent(t *testing.T, s chunk.Store) {
	h := hash.Sum([]byte("nobody put this"))
	if ok, err := s.Has(t.Context(), h); ok || err != nil {
		t.Errorf("Has of an absent chunk = %v, %v", ok, err)
	}
	if _, err := s.Get(t.Context(), h); !errs.Is(err, errs.NotFound) {
		t.Errorf("Get of an absent chunk: %v, want class not-found", err)
	}
	if _, err := chunk.Append(t.Context(), s, nil, h); !errs.Is(err, errs.NotFound) {
		t.Errorf("Append of an absent chunk: %v, want class not-found", err)
	}
	if ok, err := s.Has(t.Context(), hash.Hash{}); ok || err != nil {
		t.Errorf("Has of the zero hash = %v, %v", ok, err)
	}
}

func putGet(t *testing.T, s chunk.Store) {
	for k := chunk.KindPage; k <= chunk.KindRebase; k++ {
		data := Sample(k, 3000, uint64(k))
		h, err := s.Put(t.Context(), data)
		if err != nil {
			t.Fatalf("Put: %v", err)
		}
		if h != hash.Sum(data) {
			t.Fatalf("Put of kind %d gave %s, want the hash of its bytes %s", k, h, hash.Sum(data))
		}
		check(t, s, data)
	}
}

func twice(t *testing.T, s chunk.Store) {
	data := Sample(chunk.KindPage, 500, 1)
	for range 2 {
		if _, err := s.Put(t.Context(), data); err != nil {
			t.Fatalf("Put: %v", err)
		}
		check(t, s, data)
	}
}

func sizes(t *testing.T, s chunk.Store) {
	for _, n := range []int{2, 3, 7, 8, 9, 127, 128, 4095, 4096, 65535, 65536, 1<<20 + 1} {
		for _, k := range []chunk.Kind{chunk.KindPage, chunk.KindBlob} {
			data := Sample(k, n, 5)
			if _, err := s.Put(t.Context(), data); err != nil {
				t.Fatalf("Put of %d bytes: %v", n, err)
			}
			check(t, s, data)
		}
	}
}

func concurrent(t *testing.T, s chunk.Store) {
	var wg sync.WaitGroup
	fail := make(chan error, 8)
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				// Neighbouring goroutines put half of each other's chunks.
				data := Sample(chunk.KindRowLeaf, 200+i, uint64(i*4+(g/2)))
				if err := putAndRead(t.Context(), s, data); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(fail)
	for err := range fail {
		t.Error(err)
	}
}

func putAndRead(ctx context.Context, s chunk.Store, data []byte) error {
	h, err := s.Put(ctx, data)
	if err != nil {
		return err
	}
	got, err := s.Get(ctx, h)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("get of %s after put gave other bytes", h)
	}
	return appended(ctx, s, data)
}

// appended appends the chunk to bytes of the caller's.
func appended(ctx context.Context, s chunk.Store, data []byte) error {
	before := []byte("before")
	got, err := chunk.Append(ctx, s, before[:len(before):len(before)], hash.Sum(data))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, append(before, data...)) {
		return fmt.Errorf("append of a chunk of %d bytes gave other bytes", len(data))
	}
	return nil
}

func staysValid(t *testing.T, s chunk.Store) {
	data := Sample(chunk.KindPage, 4000, 9)
	h, err := s.Put(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if err := putAndRead(t.Context(), s, Sample(chunk.KindPage, 4000, uint64(100+i))); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, data) {
		t.Error("bytes that Get gave changed after later calls")
	}
}

func check(t *testing.T, s chunk.Store, data []byte) {
	t.Helper()
	h := hash.Sum(data)
	if ok, err := s.Has(t.Context(), h); !ok || err != nil {
		t.Fatalf("Has of a chunk of %d bytes = %v, %v", len(data), ok, err)
	}
	got, err := s.Get(t.Context(), h)
	if err != nil {
		t.Fatalf("Get of a chunk of %d bytes: %v", len(data), err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("Get of a chunk of %d bytes gave other bytes", len(data))
	}
	if err := appended(t.Context(), s, data); err != nil {
		t.Fatal(err)
	}
}
