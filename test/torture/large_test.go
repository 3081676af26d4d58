package torture

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLargeValues takes one text and one BLOB of 100 MB, at length, through every file format and the dump: they come back as they were.
func TestLargeValues(t *testing.T) {
	size := or(100<<20, 20<<20)
	unit := "grün, \"quoted\"\nline\t'x' \\ " + strings.Repeat("0123456789abcdef", 14)
	text := []byte(strings.Repeat(unit, size/len(unit)+1)[:size])
	for !utf8.Valid(text[len(text)-4:]) {
		text = text[:len(text)-1]
	}
	blob := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range blob {
		blob[i] = byte(rng.Uint32())
	}
	want := fmt.Sprintf("%x,%d,%x,%d\n", sha1.Sum(text), len(text), sha1.Sum(blob), len(blob))
	s := newSite(t)
	quoted := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"`), []byte(`""`)) }
	in := filepath.Join(s.home, "in.csv")
	file := append([]byte("id,s,b\n1,\""), quoted(text)...)
	file = append(append(append(file, `","`...), quoted(blob)...), "\"\n2,small,\n"...)
	if err := os.WriteFile(in, file, 0o666); err != nil {
		t.Fatal(err)
	}
	const columns = "(id int primary key, s longtext, b longblob)"
	is := func(t *testing.T, db, table string) {
		t.Helper()
		out := s.must(t, "sql", "-r", "csv", "-q", "select sha1(s), length(s), sha1(b), length(b) from "+db+table+" where id = 1")
		if _, got, _ := strings.Cut(out, "\n"); got != want {
			t.Errorf("table %s has %q, want %q", table, got, want)
		}
	}
	s.must(t, "sql", "-q", "create table t "+columns)
	s.must(t, "table", "import", "-u", "t", in)
	is(t, "", "t")
	s.must(t, "commit", "-Am", "large")
	for _, format := range or([]string{"csv", "psv", "tsv", "jsonl", "json", "parquet", "arrow", "arrows"}, []string{"csv", "jsonl", "parquet", "arrow"}) {
		t.Run(format, func(t *testing.T) {
			out := filepath.Join(s.home, "out."+format)
			s.must(t, "table", "export", "t", out)
			s.must(t, "sql", "-q", "create table t_"+format+" "+columns)
			s.must(t, "table", "import", "-u", "t_"+format, out)
			is(t, "", "t_"+format)
			s.must(t, "sql", "-q", "drop table t_"+format)
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("dump", func(t *testing.T) {
		out := filepath.Join(s.home, "dump.sql")
		s.must(t, "dump", "--file-name", out)
		s.must(t, "sql", "-q", "drop table t")
		if full() { // text of SQL is parsed in memory, several times the size of what it says
			return
		}
		s.must(t, "sql", "-f", out)
		is(t, "db.", "t")
	})
	s.fsck(t)
}
