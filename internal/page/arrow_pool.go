package page

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Pool is an Arrow allocator that keeps freed buffers for the next batch: fresh memory costs as much to fault in as to fill. Buffers
// are of powers of two and not zeroed. It may be used by many goroutines.
type Pool struct {
	mu   sync.Mutex
	free [poolClasses][][]byte
	kept int
	max  int
}

var _ memory.Allocator = (*Pool)(nil)

const (
	poolClasses = 48
	poolMin     = 6  // log2 of the smallest buffer
	poolAlign   = 64 // Arrow's advice
)

// NewPool is a Pool that keeps at most max bytes of freed buffers.
func NewPool(max int) *Pool { return &Pool{max: max} }

func poolClass(size int) int { return max(poolMin, bits.Len(uint(max(size, 1)-1))) }

// Allocate implements memory.Allocator.
func (p *Pool) Allocate(size int) []byte {
	c := poolClass(size)
	if c < poolClasses {
		p.mu.Lock()
		if k := len(p.free[c]); k > 0 {
			b := p.free[c][k-1]
			p.free[c][k-1] = nil
			p.free[c] = p.free[c][:k-1]
			p.kept -= cap(b)
			p.mu.Unlock()
			return b[:size]
		}
		p.mu.Unlock()
	}
	b := make([]byte, 1<<c+poolAlign)
	shift := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (poolAlign - 1)
	return b[shift : shift+size : shift+1<<c]
}

// Reallocate implements memory.Allocator.
func (p *Pool) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	next := p.Allocate(size)
	copy(next, b)
	p.Free(b)
	return next
}

// Free implements memory.Allocator.
func (p *Pool) Free(b []byte) {
	c := bits.Len(uint(cap(b))) - 1
	if cap(b) == 0 || cap(b) != 1<<c || c < poolMin || c >= poolClasses {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+cap(b) <= p.max {
		p.free[c] = append(p.free[c], b[:0])
		p.kept += cap(b)
	}
}
