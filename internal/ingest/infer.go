package ingest

import (
	"bytes"
	"context"
	"runtime"
	"slices"

	"github.com/stemmadb/stemma/internal/value"
)

// InferOptions steer Infer.
type InferOptions struct {
	Format  Format
	Names   []string    // of the columns, as many as the file has fields
	AllText bool        // every column is text
	SkipBad bool        // pass over records that Load would reject
	Keys    bool        // look for columns that could be the primary key
	Workers int         // 0: as many as processors
	Bytes   func(int64) // told how many bytes more have been read; may be nil
	Memory  int         // bytes for finding keys; 0 is 128 MiB
}

// Inferred is what a file's values say of its columns.
type Inferred struct {
	Types []value.Type
	Nulls []bool // columns with a NULL
	Rows  uint64
	// Unique are the columns without NULLs in which no value comes twice. KeysKnown tells whether that was found out: it was not when
	// nobody asked, or when it would have taken too much memory.
	Unique    []int
	KeysKnown bool
	// Missing are the columns that would be of another type than text if some texts meant NULL.
	Missing []Missing
}

// Missing is a column that is text only because of fields that often mean that there is no value.
type Missing struct {
	Column int
	Texts  []string   // of these fields, sorted
	Type   value.Type // without them
}

// Infer reads the whole file to find each column's type: the narrowest that holds all values as value.Inferrer says, so that no value
// further down can fail to fit.
func Infer(ctx context.Context, src Source, opt InferOptions) (*Inferred, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Memory <= 0 {
		opt.Memory = 128 << 20
	}
	in := &inference{opt: opt, total: make([]value.Inferrer, len(opt.Names))}
	if opt.Keys {
		in.keys = newKeySearch(len(opt.Names), opt.Memory)
	}
	if opt.AllText {
		for i := range in.total {
			in.total[i].Observe([]byte("text"), false)
		}
	}
	err := each(ctx, newFramer(src, opt.Format.Comma), opt.Workers,
		func() func(*block, *observed) error { return (&observer{in: in, file: src.Name}).observe },
		func(b *block, o *observed) error {
			if opt.Bytes != nil {
				opt.Bytes(b.read)
			}
			in.rows += o.rows
			for c := range o.witness {
				for _, w := range o.witness[c] {
					in.total[c].Observe(w.text, w.null)
				}
			}
			for _, m := range o.missing {
				in.note(m)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	out := &Inferred{Rows: in.rows, Types: make([]value.Type, len(in.total)), Nulls: make([]bool, len(in.total))}
	for c := range in.total {
		out.Types[c], out.Nulls[c] = in.total[c].Result()
		if c >= len(in.missing) || len(in.missing[c]) == 0 {
			continue
		}
		without, texts := out.Types[c], in.missing[c]
		for _, text := range texts {
			in.total[c].Observe([]byte(text), false)
		}
		out.Types[c], _ = in.total[c].Result()
		if isText(out.Types[c].Kind) && !isText(without.Kind) {
			slices.Sort(texts)
			out.Missing = append(out.Missing, Missing{Column: c, Texts: texts, Type: without})
		}
	}
	if in.keys != nil {
		out.Unique, out.KeysKnown = in.keys.result()
	}
	return out, nil
}

// inference is what the workers of one Infer share.
type inference struct {
	opt   InferOptions
	keys  *keySearch
	total []value.Inferrer
	rows  uint64
	// missing are texts of columns that may mean NULL. total has not seen them yet.
	missing [][]string
}

// missingField is a field that may mean NULL.
type missingField struct {
	column int
	text   string
}

// note adds to missing.
func (in *inference) note(m missingField) {
	if in.missing == nil {
		in.missing = make([][]string, len(in.total))
	}
	if !slices.Contains(in.missing[m.column], m.text) {
		in.missing[m.column] = append(in.missing[m.column], m.text)
	}
}

// witness is a value that changed what an Inferrer knew. As the result does not depend on the order of the values, and the values
// between two witnesses changed nothing, an Inferrer that sees only the witnesses comes to the same result: that is how those of
// many blocks are brought together.
type witness struct {
	text []byte
	null bool
}

// observed is what a worker saw in a block.
type observed struct {
	rows    uint64
	witness [][]witness // by column
	missing []missingField
}

// observer looks at the values of blocks. What it knows of earlier blocks makes for few witnesses.
type observer struct {
	in    *inference
	file  string
	split Splitter
	rec   Record
	known []value.Inferrer
	hash  []([]uint64)
}

func (o *observer) observe(b *block, out *observed) error {
	opt := &o.in.opt
	n := len(opt.Names)
	if o.known == nil {
		o.known, o.hash = make([]value.Inferrer, n), make([][]uint64, n)
	}
	if out.witness == nil {
		out.witness = make([][]witness, n)
	}
	out.rows, out.missing = 0, out.missing[:0]
	for c := range n {
		out.witness[c], o.hash[c] = out.witness[c][:0], o.hash[c][:0]
	}
	o.split.Reset(b.data, b.line, opt.Format.Comma)
	header := b.line == 1 && !opt.Format.NoHeader
	for {
		ok, bad := o.split.Next(&o.rec)
		if !ok {
			break
		}
		if header {
			header = false
			continue
		}
		if n > 1 && bad == nil && o.rec.Blank() {
			continue
		}
		if bad == nil && len(o.rec.Fields) != n {
			bad = &LineError{Line: o.rec.Line, Err: errFields(len(o.rec.Fields), n)}
		}
		if bad == nil && b.suspect {
			bad = checkRecord(&o.rec, opt.Names, nil)
		}
		if bad != nil {
			if opt.SkipBad {
				continue
			}
			bad.File = o.file
			return bad
		}
		out.rows++
		if opt.Format.Nulls != nil {
			opt.Format.nullify(&o.rec)
		}
		for c, text := range o.rec.Fields {
			if mayBeNull(text) && (o.rec.Quoted == nil || !o.rec.Quoted[c]) {
				if m := (missingField{c, string(text)}); !slices.Contains(out.missing, m) {
					out.missing = append(out.missing, m)
				}
				o.forKeys(c, text)
				continue
			}
			o.value(c, text, &out.witness[c])
		}
	}
	if o.in.keys != nil {
		o.in.keys.add(o.hash)
	}
	return nil
}

// value takes a field into account.
func (o *observer) value(c int, text []byte, ws *[]witness) {
	before := o.known[c]
	o.known[c].Observe(text, text == nil)
	if o.known[c] != before {
		*ws = append(*ws, witness{bytes.Clone(text), text == nil})
		if len(*ws) >= 64 && len(*ws)&(len(*ws)-1) == 0 {
			*ws = fewer(*ws)
		}
	}
	o.forKeys(c, text)
}

// forKeys takes a field into account in the search for keys.
func (o *observer) forKeys(c int, text []byte) {
	if k := o.in.keys; k != nil && k.open(c) {
		if len(text) == 0 {
			k.close(c)
		} else {
			o.hash[c] = append(o.hash[c], k.hash(text))
		}
	}
}

// fewer drops witnesses that later ones make needless, as those of ascending numbers are.
func fewer(ws []witness) []witness {
	var f value.Inferrer
	kept := len(ws)
	for i := len(ws) - 1; i >= 0; i-- {
		before := f
		if f.Observe(ws[i].text, ws[i].null); f != before {
			kept--
			ws[kept] = ws[i]
		}
	}
	return append(ws[:0], ws[kept:]...)
}

// checkRecord finds the first field that is not text. Columns with raw set are not looked at.
func checkRecord(rec *Record, names []string, raw []bool) *LineError {
	for c, text := range rec.Fields {
		if raw != nil && raw[c] {
			continue
		}
		if err := checkText(text, rec.Quoted != nil && rec.Quoted[c]); err != nil {
			return &LineError{Line: rec.Line, Column: names[c], Err: err}
		}
	}
	return nil
}
