package data

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

const hospitals = 1400

// Prices is the hospital price list: who charges how much for what. Its key is (hospital, code, payer): a row for a regular choice
// of all combinations. A row is known by its place in the grid of combinations, which is its place in key order.
type Prices struct {
	npis  []int
	lines []string // of the hospitals' file
	codes []string
	rows  int
	step  float64  // rows for each place of the grid
	after rand.PCG // the generator behind the hospitals, for the shuffle

	source rand.PCG
	normal *rand.Rand
}

// Price is a row.
type Price struct {
	NPI         int
	Code, Payer string
	Price       float64
}

// NewPrices makes a list of so many rows; more than the grid has places are an error.
func NewPrices(rows int) (*Prices, error) {
	source := rand.NewPCG(42, 7)
	r := rand.New(source)
	p := &Prices{rows: rows, npis: make([]int, 0, hospitals), lines: make([]string, hospitals), codes: codes(20000)}
	p.normal = rand.New(&p.source)
	for seen := map[int]bool{}; len(p.npis) < hospitals; {
		if n := 1_000_000_000 + r.IntN(999_999_999); !seen[n] {
			seen[n] = true
			p.npis = append(p.npis, n)
		}
	}
	slices.Sort(p.npis)
	for i, n := range p.npis {
		state := states[r.IntN(len(states))]
		p.lines[i] = fmt.Sprintf("%d,Hospital %04d,%s,City %03d\n", n, i, state, r.IntN(900))
	}
	p.after = *source
	p.step = float64(rows) / float64(p.Grid())
	if p.step > 1 {
		return nil, fmt.Errorf("make prices: %d rows are more than the %d combinations", rows, p.Grid())
	}
	return p, nil
}

// codes are the names of n procedures, in order and without repetitions.
func codes(n int) []string {
	out := make([]string, n)
	for i := range out {
		switch i % 3 {
		case 0:
			out[i] = fmt.Sprintf("CPT %05d", 10000+i)
		case 1:
			out[i] = fmt.Sprintf("HCPCS %c%04d", 'A'+i%22, i%10000)
		case 2:
			out[i] = fmt.Sprintf("%04dT%d", i%10000, i/10000)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Grid is the number of places.
func (p *Prices) Grid() int { return len(p.npis) * len(p.codes) * len(payers) }

// Places are the places of the rows, ascending. Rounding may make them one fewer than asked for.
func (p *Prices) Places() []int32 {
	out := make([]int32, 0, p.rows)
	sum := 0.0
	for i := range p.Grid() {
		if len(out) == p.rows {
			break
		}
		if sum += p.step; sum >= 1 {
			sum--
			out = append(out, int32(i))
		}
	}
	return out
}

// Shuffle puts places into the order of the shuffled file.
func (p *Prices) Shuffle(places []int32) {
	source := p.after
	rand.New(&source).Shuffle(len(places), func(a, b int) { places[a], places[b] = places[b], places[a] })
}

// At is the row of a place, whether the list has it or not. It is not for several goroutines.
func (p *Prices) At(place int32) Price {
	i := int(place)
	p.source.Seed(uint64(i), 99)
	scaled := float64(p.normal.NormFloat64() * 1.6) // its own rounding on every machine
	return Price{
		NPI:   p.npis[i/(len(p.codes)*len(payers))],
		Code:  p.codes[i/len(payers)%len(p.codes)],
		Payer: payers[i%len(payers)],
		Price: math.Round(math.Exp(scaled+5.5)*100) / 100,
	}
}

// WritePrices writes the file of the rows of these places.
func (p *Prices) WritePrices(w io.Writer, places []int32) error {
	out := bufio.NewWriterSize(w, 1<<20)
	line := []byte("npi_number,code,payer,price\n")
	for _, i := range places {
		if _, err := out.Write(line); err != nil {
			return err
		}
		line = p.At(i).appendLine(line[:0])
	}
	if _, err := out.Write(line); err != nil {
		return err
	}
	return out.Flush()
}

func (p Price) appendLine(b []byte) []byte {
	b = strconv.AppendInt(b, int64(p.NPI), 10)
	b = append(b, ',')
	b = append(b, p.Code...)
	b = append(b, ',')
	b = append(b, p.Payer...)
	b = append(b, ',')
	b = strconv.AppendFloat(b, p.Price, 'f', 2, 64)
	return append(b, '\n')
}

// WriteHospitals writes the file of the hospitals.
func (p *Prices) WriteHospitals(w io.Writer) error {
	out := bufio.NewWriter(w)
	if _, err := out.WriteString("npi_number,name,state,city\n"); err != nil {
		return err
	}
	for _, l := range p.lines {
		if _, err := out.WriteString(l); err != nil {
			return err
		}
	}
	return out.Flush()
}
