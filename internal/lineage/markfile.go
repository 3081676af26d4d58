package lineage

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/sidefile"
)

// markFiles is the side file of marks; docs/format.md has the body of its records.
var markFiles = sidefile.Kind{Magic: "stmmarks", Version: 1, Limit: 256 << 20}

// encodeMark is the body of a mark's record.
func encodeMark(x *mark) []byte {
	b := append([]byte(nil), x.id[:]...)
	var base history.CommitID
	if x.base != nil {
		base = x.base.id
	}
	b = append(b, base[:]...)
	b = binary.AppendUvarint(b, uint64(len(x.tables)))
	for _, name := range slices.Sorted(maps.Keys(x.tables)) {
		turns := x.tables[name]
		b = binfmt.AppendString(b, name)
		b = binary.AppendUvarint(b, uint64(len(turns)))
		for _, t := range turns {
			b = append(b, t.commit[:]...)
			b = binfmt.AppendString(b, t.table)
			b = binfmt.AppendBool(b, t.merged)
			for _, of := range []string{t.before, t.after} {
				h, _ := hash.Parse(of) // zero for a table that was not there
				b = append(b, h[:]...)
			}
		}
	}
	return b
}

// markHead is the commits of a record: the mark's, and that of the mark before it, zero for none.
func markHead(body []byte) (id, base history.CommitID, ok bool) {
	d := &binfmt.Decoder{B: body, What: "mark"}
	id, base = d.Hash(), d.Hash()
	return id, base, d.Err == nil
}

// decodeMark is what a record says of tables. Errors are of class Corrupt.
func decodeMark(body []byte) (map[string][]turn, error) {
	d := &binfmt.Decoder{B: body, What: "mark"}
	d.Hash()
	d.Hash()
	out := map[string][]turn{}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		name := d.Str()
		var turns []turn
		for n := d.Count(); n > 0 && d.Err == nil; n-- {
			t := turn{commit: d.Hash(), table: d.Str(), merged: d.Bool()}
			if h := d.Hash(); !h.IsZero() {
				t.before = h.Full()
			}
			t.after = d.Hash().Full()
			turns = append(turns, t)
		}
		out[name] = turns
	}
	return out, d.Done()
}
