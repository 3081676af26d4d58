package training

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

const (
	sampleRows = 200_000 // rows of which quantiles and top values are found, evenly spaced
	topValues  = 20
)

// quantiles are those that a profile has.
var quantiles = [...]float64{0.05, 0.25, 0.5, 0.75, 0.95}

// Share is a value and its part of a column's rows, from 0 to 1.
type Share struct {
	Value string  `json:"value"`
	Share float64 `json:"share"`
}

// Profile sums up a column. Mean, deviation and quantiles are those of numbers, dates (in days) and times (in seconds), without infinities;
// else absent. NaN counts as NULL, as pandas has it.
type Profile struct {
	Column    string    `json:"column"`
	Rows      uint64    `json:"rows"`
	NullRate  float64   `json:"null_rate"` // from 0 to 1
	Mean      *float64  `json:"mean,omitempty"`
	Deviation *float64  `json:"deviation,omitempty"` // standard deviation
	Quantiles []float64 `json:"quantiles,omitempty"` // of 5, 25, 50, 75 and 95 percent
	Top       []Share   `json:"top,omitempty"`       // the most frequent values, at most 20
}

// column gathers a profile.
type column struct {
	cell   int
	typ    value.Type
	nulls  uint64
	n      uint64
	mean   float64
	m2     float64 // sum of squared distances from the mean (Welford)
	sample []float64
	counts map[string]int
	seen   int
}

// number is the number that a cell stands for; ok is false for cells of types that are no numbers.
func number(t value.Type, c value.Cell) (v float64, ok bool) {
	switch t.Kind {
	case value.KindFloat64:
		return c.Float(), true
	case value.KindFloat32:
		return float64(c.Float32()), true
	case value.KindUint64:
		return float64(c.Uint()), true
	case value.KindDecimal:
		if t.Phys() != value.Int64 {
			f, err := value.Parse(value.Type{Kind: value.KindFloat64}, value.AppendText(nil, t, c))
			return f.Float(), err == nil
		}
		return float64(c.Int()) / math.Pow10(int(t.Scale)), true
	case value.KindTime, value.KindDatetime, value.KindTimestamp:
		return float64(c.Int()) / 1e6, true
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24,
		value.KindUint32, value.KindYear, value.KindDate:
		return float64(c.Int()), true
	}
	return 0, false
}

// observe takes a cell into account; sampled tells whether its row is of the sample.
func (c *column) observe(cell value.Cell, sampled bool) {
	if cell.IsNull() {
		c.nulls++
		return
	}
	v, isNumber := number(c.typ, cell)
	if isNumber && math.IsNaN(v) {
		c.nulls++
		return
	}
	if isNumber = isNumber && !math.IsInf(v, 0); isNumber {
		c.n++
		d := v - c.mean
		c.mean += d / float64(c.n)
		c.m2 += d * (v - c.mean)
	}
	if !sampled {
		return
	}
	if isNumber {
		c.sample = append(c.sample, v)
	}
	c.seen++
	text := value.AppendText(nil, c.typ, cell)
	if len(text) > 200 {
		text = text[:200]
	}
	c.counts[string(text)]++
}

// ProfileOf profiles the columns of a table. Cells that are kept out of line count as values, not for top values.
func ProfileOf(ctx context.Context, v *table.View) ([]Profile, error) {
	shift := 0
	if v.Schema().Keyless() {
		shift = 1
	}
	cols := make([]column, len(v.Schema().Columns))
	for i := range cols {
		cols[i] = column{cell: i + shift, typ: v.Schema().Columns[i].Type, counts: map[string]int{}}
	}
	rows := v.Count()
	every := max((rows+sampleRows-1)/sampleRows, 1)
	scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	var n uint64
	for {
		b, ok, err := scan.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if b.Page == nil {
			return nil, errs.New(errs.Internal, "profile table: it has not been folded")
		}
		for i := b.Lo; i < b.Hi; i++ {
			sampled := n%every == 0
			n++
			for c := range cols {
				cell, err := b.Page.Cell(ctx, cols[c].cell, i)
				if err != nil {
					return nil, err
				}
				cols[c].observe(cell, sampled && !cell.IsAddr())
			}
		}
	}
	out := make([]Profile, len(cols))
	for i := range cols {
		out[i] = cols[i].profile(v.Schema().Columns[i].Name, n)
	}
	return out, nil
}

func (c *column) profile(name string, rows uint64) Profile {
	p := Profile{Column: name, Rows: rows}
	if rows > 0 {
		p.NullRate = float64(c.nulls) / float64(rows)
	}
	if c.n > 0 {
		dev := math.Sqrt(c.m2 / float64(c.n))
		p.Mean, p.Deviation = &c.mean, &dev
	}
	if len(c.sample) > 0 {
		slices.Sort(c.sample)
		for _, q := range quantiles {
			p.Quantiles = append(p.Quantiles, c.sample[int(q*float64(len(c.sample)-1)+0.5)])
		}
	}
	for v, n := range c.counts {
		p.Top = append(p.Top, Share{v, float64(n) / float64(c.seen)})
	}
	slices.SortFunc(p.Top, func(a, b Share) int {
		if a.Share != b.Share {
			if a.Share > b.Share {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Value, b.Value)
	})
	p.Top = p.Top[:min(len(p.Top), topValues)]
	return p
}

// Drift is how far a column is from what it was. What one side has no figure for is 0.
type Drift struct {
	Column   string  `json:"column"`
	NullRate float64 `json:"null_rate"` // distance of the parts that are NULL, from 0 to 1
	Mean     float64 `json:"mean"`      // distance of the means, in standard deviations of what was
	Quantile float64 `json:"quantile"`  // greatest distance of a quantile, in standard deviations of what was
	Top      float64 `json:"top"`       // part of the rows that would have to change their value for the most frequent values to be as they were, from 0 to 1
	Was      Profile `json:"was"`
	Is       Profile `json:"is"`
}

// Compare pairs the profiles of columns by name and gives the drift of those that both sides have.
func Compare(was, is []Profile) []Drift {
	var out []Drift
	for _, a := range was {
		i := slices.IndexFunc(is, func(b Profile) bool { return strings.EqualFold(a.Column, b.Column) })
		if i >= 0 {
			out = append(out, drift(a, is[i]))
		}
	}
	return out
}

func drift(a, b Profile) Drift {
	d := Drift{Column: b.Column, NullRate: math.Abs(a.NullRate - b.NullRate), Was: a, Is: b}
	if a.Mean != nil && b.Mean != nil {
		unit := *a.Deviation
		if unit == 0 {
			unit = max(math.Abs(*a.Mean), 1)
		}
		d.Mean = math.Abs(*a.Mean-*b.Mean) / unit
		for i := range min(len(a.Quantiles), len(b.Quantiles)) {
			d.Quantile = max(d.Quantile, math.Abs(a.Quantiles[i]-b.Quantiles[i])/unit)
		}
	}
	shares := map[string]float64{}
	for _, s := range a.Top {
		shares[s.Value] += s.Share
	}
	for _, s := range b.Top {
		shares[s.Value] -= s.Share
	}
	if frequent(a) || frequent(b) {
		for _, s := range shares {
			d.Top += math.Abs(s) / 2
		}
	}
	return d
}

// frequent tells whether the most frequent values are most of a column, so that it makes sense to compare them.
func frequent(p Profile) bool {
	sum := 0.0
	for _, s := range p.Top {
		sum += s.Share
	}
	return sum >= 0.5
}

// Exceeds are the columns and measures of drift that reach the policy's limits.
func (p *Policy) Exceeds(ds []Drift) []string {
	var out []string
	for _, d := range ds {
		for _, m := range []struct {
			name  string
			limit *float64
			is    float64
		}{{"null_rate", p.NullRate, d.NullRate}, {"mean", p.Mean, d.Mean}, {"quantile", p.Quantile, d.Quantile}, {"top", p.Top, d.Top}} {
			if m.limit != nil && m.is >= *m.limit && m.is > 0 {
				out = append(out, d.Column+": "+m.name+" drifted by "+formatFloat(m.is)+", the limit is "+formatFloat(*m.limit))
			}
		}
	}
	return out
}

// formatFloat is a figure with up to four digits.
func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }
