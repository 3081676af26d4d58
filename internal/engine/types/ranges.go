package types

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// A range of the engine restricts each column of an index to an interval:
//
//	a = 3   b in (5, 9]   c < 'x'
//
// The keys of a = 3 and b in (5, 9] lie together, between two keys. Among them are some with another c: a KeyRange tells them by
// the bytes of their third part. So a KeyRange is exact: it asks for no value to be decoded, and no filter to be kept.

// KeyRange are the keys of an index that lie in [Lo, Hi) and that Match.
type KeyRange struct {
	// Lo is the least key.
	Lo []byte
	// Hi is the least key beyond, nil for none.
	Hi []byte
	// Equal is the number of leading parts that have one value in the whole range. When it is that of all parts, Lo is the key.
	Equal int

	index *KeyRanger
	rest  []span // of the parts from Equal on, when [Lo, Hi) does not say all
}

// span are the bytes [lo, hi) in which a part lies; a nil hi is no bound.
type span struct{ lo, hi []byte }

func (s span) has(part []byte) bool {
	return bytes.Compare(part, s.lo) >= 0 && (s.hi == nil || bytes.Compare(part, s.hi) < 0)
}

// Match tells whether a key in [Lo, Hi) is in the range. Malformed keys are not.
func (r *KeyRange) Match(key []byte) bool {
	if r.rest == nil {
		return true
	}
	for i := range r.Equal + len(r.rest) {
		n := value.KeyPartLen(key, &r.index.parts[i])
		if n < 0 || i >= r.Equal && !r.rest[i-r.Equal].has(key[:n]) {
			return false
		}
		key = key[n:]
	}
	return true
}

// Whole tells whether Match is true for every key in [Lo, Hi).
func (r *KeyRange) Whole() bool { return r.rest == nil }

// KeyRanger converts the engine's ranges over one index. It is safe for use by many goroutines at once.
type KeyRanger struct {
	parts  []value.KeyPart
	codecs []*Codec
}

// NewKeyRanger makes the converter for an index whose keys have these parts, with a codec each. Where the index keeps only the
// beginning of a column, Prefix must say so, also when its cells are cut before they become a key.
func NewKeyRanger(parts []value.KeyPart, codecs []*Codec) (*KeyRanger, error) {
	if len(parts) != len(codecs) {
		return nil, errs.New(errs.Internal, "make a key ranger: %d parts and %d codecs", len(parts), len(codecs))
	}
	return &KeyRanger{parts: parts, codecs: codecs}, nil
}

// Exact tells whether KeyRanges would be exact for these ranges.
func (r *KeyRanger) Exact(ctx context.Context, ranges ...sql.Range) (bool, error) {
	for _, x := range ranges {
		m, ok := x.(sql.MySQLRange)
		if !ok {
			return false, nil
		}
		if _, exact, err := r.KeyRanges(ctx, sql.MySQLRangeCollection{m}); err != nil || !exact {
			return false, err
		}
	}
	return true, nil
}

// KeyRanges converts ranges, in their order; those that hold no key are left out. When exact is false the ranges hold more keys than
// the engine's, and its filter must be kept. A range may name fewer columns than the index has.
func (r *KeyRanger) KeyRanges(ctx context.Context, ranges sql.MySQLRangeCollection) (out []KeyRange, exact bool, err error) {
	exact = true
	for _, m := range ranges {
		k, ok, fits, err := r.keyRange(ctx, m)
		if err != nil {
			return nil, false, err
		}
		exact = exact && fits
		if ok {
			out = append(out, k)
		}
	}
	return out, exact, nil
}

func (r *KeyRanger) keyRange(ctx context.Context, m sql.MySQLRange) (k KeyRange, ok, exact bool, err error) {
	k, exact = KeyRange{index: r}, true
	if len(m) > len(r.parts) {
		for _, x := range m[len(r.parts):] {
			exact = exact && x.Type() == sql.RangeType_All
		}
		m = m[:len(r.parts)]
	}
	var prefix []byte // of the parts that are equal
	restricted := 0   // parts from Equal on up to the last that is restricted
	for i := range m {
		lower, upper, fits, err := r.interval(ctx, i, m[i])
		if err != nil {
			return k, false, false, err
		}
		exact = exact && fits
		if k.Equal == i && len(lower.prefix) > 0 && !lower.after && upper.after && bytes.Equal(lower.prefix, upper.prefix) {
			prefix = append(prefix, lower.prefix...)
			k.Equal++
			continue
		}
		s := span{lower.key(nil), upper.key(nil)}
		if s.lo == nil && lower.after || s.hi != nil && bytes.Compare(s.lo, s.hi) >= 0 {
			return k, false, exact, nil
		}
		if k.Equal == i {
			k.Lo, k.Hi = lower.key(prefix), upper.key(prefix)
		}
		k.rest = append(k.rest, s)
		if len(s.lo) > 0 || s.hi != nil {
			restricted = len(k.rest)
		}
	}
	if k.Lo == nil {
		k.Lo = append([]byte{}, prefix...)
		k.Hi = value.PrefixEnd(prefix)
	}
	if k.rest = k.rest[:restricted]; restricted <= 1 {
		k.rest = nil
	}
	return k, true, exact, nil
}

// edge is a place among the parts that a column's values have: before or after all that begin with prefix.
type edge struct {
	prefix []byte
	after  bool
}

// key is the least key that begins with head and lies behind the edge; nil when there is none.
func (e edge) key(head []byte) []byte {
	b := append(append(make([]byte, 0, len(head)+len(e.prefix)), head...), e.prefix...)
	if e.after {
		return value.PrefixEnd(b)
	}
	return b
}

// interval gives the edges of an interval of values, in the order of the bytes.
func (r *KeyRanger) interval(ctx context.Context, i int, x sql.MySQLRangeColumnExpr) (lower, upper edge, exact bool, err error) {
	if x.Type() == sql.RangeType_EqualNull {
		null := value.AppendKeyPart(nil, &r.parts[i], value.Null)
		return edge{prefix: null}, edge{prefix: null, after: true}, true, nil
	}
	lower, fits1, err := r.edge(ctx, i, x.LowerBound, true)
	if err != nil {
		return lower, upper, false, err
	}
	upper, fits2, err := r.edge(ctx, i, x.UpperBound, false)
	if r.parts[i].Desc {
		lower, upper = upper, lower
		lower.after, upper.after = !lower.after, !upper.after
	}
	return lower, upper, fits1 && fits2, err
}

// edge gives the edge of a cut in the order of the values. A cut that is not exact is moved outwards.
func (r *KeyRanger) edge(ctx context.Context, i int, cut sql.MySQLRangeCut, lower bool) (e edge, exact bool, err error) {
	p := &r.parts[i]
	null := value.AppendKeyPart(nil, p, value.Null)
	var bound any
	above := false
	switch c := cut.(type) {
	case sql.BelowNull:
		return edge{}, true, nil
	case sql.AboveNull:
		return edge{prefix: null, after: true}, true, nil
	case sql.AboveAll:
		return edge{after: true}, true, nil
	case sql.Below:
		bound = c.Key
	case sql.Above:
		bound, above = c.Key, true
	default:
		return e, false, errs.New(errs.Internal, "convert an index range: unknown cut %T", cut)
	}
	where := position{}
	if bound != nil {
		if where, err = r.codecs[i].locate(ctx, bound); err != nil {
			return e, false, err
		}
	}
	switch {
	case !where.known && lower, where.beyond < 0:
		return edge{prefix: null, after: true}, where.known, nil
	case !where.known, where.beyond > 0:
		return edge{after: true}, where.known, nil
	}
	after, exact := above, true
	if where.side != 0 {
		after = where.side > 0
	}
	if cut := cutPrefix(p, where.cell); cut > 0 || cut == 0 && above {
		after, exact = !lower, false
	}
	return edge{prefix: value.AppendKeyPart(nil, p, where.cell), after: after}, exact, nil
}

// cutPrefix compares the length of a string with the prefix that the part keeps: positive when it is longer, 0 when it is as long,
// negative when it is shorter or nothing is cut.
func cutPrefix(p *value.KeyPart, c value.Cell) int {
	if p.Prefix == 0 || p.Type.Phys() != value.Bytes {
		return -1
	}
	switch p.Type.Kind {
	case value.KindChar, value.KindVarchar, value.KindText:
		return utf8.RuneCount(c.Bytes()) - int(p.Prefix)
	}
	return len(c.Bytes()) - int(p.Prefix)
}
