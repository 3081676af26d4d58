package ingest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// splitAll is the records of a file as text: fields between bars, NULL as -, errors as !line: text.
func splitAll(t *testing.T, file string, size int) string {
	t.Helper()
	f := newFramer(Source{Name: "f", R: strings.NewReader(file), Size: int64(len(file))}, comma)
	f.size, f.max = size, 1<<10
	var out strings.Builder
	var b block
	var s Splitter
	var rec Record
	for {
		ok, err := f.next(&b)
		if err != nil {
			return out.String() + "!! " + err.Error() + "\n"
		}
		if !ok {
			return out.String()
		}
		s.Reset(b.data, b.line, ',')
		for {
			ok, bad := s.Next(&rec)
			if !ok {
				break
			}
			if bad != nil {
				fmt.Fprintf(&out, "!%d: %.19s\n", bad.Line, bad.Err)
				continue
			}
			fmt.Fprintf(&out, "%d|", rec.Line)
			for _, x := range rec.Fields {
				if x == nil {
					out.WriteString("-|")
				} else {
					fmt.Fprintf(&out, "%s|", bytes.ReplaceAll(x, []byte("\n"), []byte("/")))
				}
			}
			out.WriteByte('\n')
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", ""},
		{"plain", "a,b\n1,2\n", "1|a|b|\n2|1|2|\n"},
		{"no line end", "a,b\n1,2", "1|a|b|\n2|1|2|\n"},
		{"crlf", "a,b\r\n1,\r\n", "1|a|b|\n2|1|-|\n"},
		{"null and empty", "a,b,c\n,\"\",\n", "1|a|b|c|\n2|-||-|\n"},
		{"only nulls", ",\n", "1|-|-|\n"},
		{"blank line", "a\n\n\r\n1\n", "1|a|\n2|-|\n3|-|\n4|1|\n"},
		{"quotes", "\"a\",\"b,c\"\r\n\"d \"\"e\"\"\",\"\"\"\"\n", "1|a|b,c|\n2|d \"e\"|\"|\n"},
		{"embedded lines", "a,\"b\nc\n\"\nd,e\n", "1|a|b/c/|\n4|d|e|\n"},
		{"byte order mark", "\xef\xbb\xbf\"a\",b\n", "1|a|b|\n"},
		{"comma at the end", "a,\"b\",", "1|a|b|-|\n"},
		{"lone cr is data", "a\rb,c\n", "1|a\rb|c|\n"},
		{"bare quote", "a,b\n1,5\" pipe\n2,3\n", "1|a|b|\n!2: a quote inside a fi\n3|2|3|\n"},
		{"text after quote", "a,b\n\"1\"x,2\n3,4\n", "1|a|b|\n!2: text between a clos\n3|3|4|\n"},
		{"text after quote, further down", "a\n\"1\n2\"x\n3\n", "1|a|\n!3: text between a clos\n!3: a quote inside a fi\n4|3|\n"},
		{"open quote", "a,b\n1,\"x\n2,y\n3,z\n", "1|a|b|\n!2: a quoted field that\n3|2|y|\n4|3|z|\n"},
		{"open quote at the end", "a,\"b", "!1: a quoted field that\n"},
		{"utf-16", "\xff\xfea\x00", "!! f line 1: the file is UTF-16, not UTF-8; convert it first: iconv -f UTF-16 -t UTF-8 f\n"},
		{"too long", "a\n\"" + strings.Repeat("x\n", 2000), "1|a|\n!! f line 2: the record that begins here is longer than 0 MiB: is a closing quote missing?\n"},
	} {
		for _, size := range []int{1, 2, 3, 5, 8, 13, 1 << 16} {
			if c.name == "too long" && size == 1<<16 {
				continue
			}
			if got := splitAll(t, c.file, size); got != c.want {
				t.Errorf("%s, blocks of %d:\n%swant:\n%s", c.name, size, got, c.want)
			}
		}
	}
}

// TestBlocksDoNotMatter holds I1 for any bytes, good or bad.
func TestBlocksDoNotMatter(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("a,\"\n\r")), 0, 60, -1)
	rapid.Check(t, func(rt *rapid.T) {
		file := text.Draw(rt, "file")
		want := splitAll(t, file, 1<<16)
		for _, size := range []int{1, 2, 7, 16} {
			if got := splitAll(t, file, size); got != want {
				rt.Fatalf("%q in blocks of %d:\n%swhole:\n%s", file, size, got, want)
			}
		}
	})
}

// FuzzSplit compares with encoding/csv: what that takes, the splitter takes, with the same fields. It differs in that it skips empty
// lines and turns CRLF inside quotes into LF.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\"\"\",\"b\nc\"\r\n", "a,\"b\r\nc\"", "\n\na,,\n", "x\"", "\"a\"b\n", "\"", "\r\r\n", "a\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if strings.HasSuffix(file, "\r") || strings.HasPrefix(file, "\xef\xbb\xbf") || strings.HasPrefix(file, "\xff\xfe") || strings.HasPrefix(file, "\xfe\xff") {
			t.Skip()
		}
		r := csv.NewReader(strings.NewReader(file))
		r.FieldsPerRecord = -1
		var want [][]string
		var failed error
		for {
			rec, err := r.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				failed = err
				break
			}
			want = append(want, rec)
		}
		var s Splitter
		var rec Record
		var got [][]string
		s.Reset([]byte(file), 1, ',')
		for {
			ok, bad := s.Next(&rec)
			if !ok {
				break
			}
			if bad != nil {
				if failed == nil {
					t.Fatalf("%q: %v, but encoding/csv reads it", file, bad)
				}
				var pe *csv.ParseError
				if errors.As(failed, &pe) && len(got) < len(want) {
					t.Fatalf("%q: error in record %d, encoding/csv reads %d", file, len(got), len(want))
				}
				return
			}
			if rec.Blank() {
				continue
			}
			var fields []string
			for _, x := range rec.Fields {
				fields = append(fields, strings.ReplaceAll(string(x), "\r\n", "\n"))
			}
			got = append(got, fields)
		}
		if failed != nil {
			t.Fatalf("%q: read, but encoding/csv says %v", file, failed)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q:\n%q\nencoding/csv:\n%q", file, got, want)
		}
	})
}

func benchmarkFile(rows int) []byte {
	var b bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&b, "1%09d,CPT %05d,BLUE CROSS PPO,%d.%02d\n", i/97, i%20000, i%5000, i%100)
	}
	return b.Bytes()
}

func BenchmarkSplit(b *testing.B) {
	file := benchmarkFile(20000)
	quoted := bytes.ReplaceAll(bytes.ReplaceAll(file, []byte(","), []byte(`","`)), []byte("\n"), []byte("\"\n\""))
	quoted = append([]byte(`"`), quoted[:len(quoted)-1]...)
	for _, c := range []struct {
		name string
		data []byte
	}{{"plain", file}, {"quoted", quoted}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			var s Splitter
			var rec Record
			for b.Loop() {
				s.Reset(c.data, 1, ',')
				for {
					ok, bad := s.Next(&rec)
					if bad != nil {
						b.Fatal(bad)
					}
					if !ok {
						break
					}
				}
			}
		})
		b.Run(c.name+"/encoding-csv", func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			for b.Loop() {
				r := csv.NewReader(bytes.NewReader(c.data))
				r.ReuseRecord = true
				for {
					if _, err := r.Read(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
