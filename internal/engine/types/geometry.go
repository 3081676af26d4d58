package types

import (
	"context"
	"encoding/binary"
	"math"

	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/value"
)

// A geometry is kept as MySQL does, in the bytes of its extended well-known binary:
//
//	srid    4 bytes little endian
//	order   1 byte, 1: little endian
//	type    4 bytes, 1 to 7
//	point           x y, 8 bytes each
//	linestring      count, then so many points
//	polygon         count, then so many linestrings without head
//	multi…, collection   count, then so many parts, each with a head of order and type

// maxGeometryDepth bounds collections in collections.
const maxGeometryDepth = 64

func geometryTo(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	g, ok := v.(gms.GeometryValue)
	if !ok {
		return value.Null, false, nil
	}
	return value.BytesCell(g.Serialize()), true, nil
}

// geometryFrom has its own decoder since the engine's trusts the counts that it reads.
func geometryFrom(c *Codec, cell value.Cell) (any, error) {
	b := cell.Bytes()
	if len(b) < gms.SRIDSize {
		return nil, c.corrupt("too short")
	}
	r := wkb{b: b[gms.SRIDSize:], srid: binary.LittleEndian.Uint32(b)}
	g := r.geometry(0)
	if r.bad || len(r.b) > 0 {
		return nil, c.corrupt("malformed well-known binary")
	}
	return g, nil
}

// wkb reads well-known binary. After a failure all reads give zeros.
type wkb struct {
	b    []byte
	srid uint32
	big  bool
	bad  bool
}

func (r *wkb) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *wkb) uint32() uint32 {
	b := r.take(4)
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *wkb) float() float64 {
	b := r.take(8)
	if r.big {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// count is a number of parts of at least size bytes each, which there must be.
func (r *wkb) count(size int) int {
	n := r.uint32()
	if uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// head reads a part's byte order and type.
func (r *wkb) head() uint32 {
	order := r.take(gms.EndianSize)[0]
	r.big = order == 0
	r.bad = r.bad || order > 1
	return r.uint32()
}

func (r *wkb) geometry(depth int) gms.GeometryValue {
	switch typ := r.head(); {
	case typ == gms.WKBPointID:
		return r.point()
	case typ == gms.WKBLineID:
		return r.line()
	case typ == gms.WKBPolyID:
		return r.polygon()
	case typ == gms.WKBMultiPointID:
		g := gms.MultiPoint{SRID: r.srid, Points: make([]gms.Point, r.count(gms.WKBHeaderSize+gms.PointSize))}
		for i := range g.Points {
			r.part(gms.WKBPointID)
			g.Points[i] = r.point()
		}
		return g
	case typ == gms.WKBMultiLineID:
		g := gms.MultiLineString{SRID: r.srid, Lines: make([]gms.LineString, r.count(gms.WKBHeaderSize+gms.CountSize))}
		for i := range g.Lines {
			r.part(gms.WKBLineID)
			g.Lines[i] = r.line()
		}
		return g
	case typ == gms.WKBMultiPolyID:
		g := gms.MultiPolygon{SRID: r.srid, Polygons: make([]gms.Polygon, r.count(gms.WKBHeaderSize+gms.CountSize))}
		for i := range g.Polygons {
			r.part(gms.WKBPolyID)
			g.Polygons[i] = r.polygon()
		}
		return g
	case typ == gms.WKBGeomCollID && depth < maxGeometryDepth:
		g := gms.GeomColl{SRID: r.srid, Geoms: make([]gms.GeometryValue, r.count(gms.WKBHeaderSize+gms.CountSize))}
		for i := range g.Geoms {
			g.Geoms[i] = r.geometry(depth + 1)
		}
		return g
	}
	r.bad = true
	return gms.Point{}
}

// part reads the head of a part that must be of the type.
func (r *wkb) part(typ uint32) { r.bad = r.head() != typ || r.bad }

func (r *wkb) point() gms.Point {
	x := r.float()
	return gms.Point{SRID: r.srid, X: x, Y: r.float()}
}

func (r *wkb) line() gms.LineString {
	g := gms.LineString{SRID: r.srid, Points: make([]gms.Point, r.count(gms.PointSize))}
	for i := range g.Points {
		g.Points[i] = r.point()
	}
	return g
}

func (r *wkb) polygon() gms.Polygon {
	g := gms.Polygon{SRID: r.srid, Lines: make([]gms.LineString, r.count(gms.CountSize))}
	for i := range g.Lines {
		g.Lines[i] = r.line()
	}
	return g
}
