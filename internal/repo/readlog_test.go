package repo

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stemmadb/stemma/internal/lineage"
)

// readLine is a line as the file has it.
func readLine(x loggedRead) string {
	body, _ := json.Marshal(x)
	return fmt.Sprintf("%08x %s\n", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)), body)
}

func TestDecodeReads(t *testing.T) {
	whole := readLine(loggedRead{Current: lineage.Current{Run: "r", Node: "n"}, Table: "t", Columns: []string{"a"}})
	for _, x := range []struct {
		data string
		want int
	}{
		{readsHead + whole + whole, 2}, {readsHead + whole + whole[:len(whole)-1], 1}, {readsHead + "00000000" + whole[8:] + whole, 0},
		{readsHead + readLine(loggedRead{Table: "t"}), 0}, {whole, 0}, {readsHead, 0}, {"", 0},
	} {
		found, _ := decodeReads([]byte(x.data))
		if len(found) != x.want || x.want > 0 && (found[0].Node != "n" || found[0].Columns[0] != "a") {
			t.Errorf("%q: %+v, want %d", x.data, found, x.want)
		}
	}
}

// FuzzReads reads files of reads: what it takes of one is read again from as many bytes.
func FuzzReads(f *testing.F) {
	whole := readLine(loggedRead{Current: lineage.Current{Run: "r"}, Table: "t"})
	f.Add([]byte(readsHead + whole + whole))
	f.Add([]byte(readsHead + whole[:20]))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, size := decodeReads(data)
		if size > len(data) {
			t.Fatalf("%d bytes of %d", size, len(data))
		}
		if again, n := decodeReads(data[:size]); len(again) != len(found) || n != size {
			t.Fatalf("%d reads in %d bytes, then %d in %d", len(found), size, len(again), n)
		}
	})
}
