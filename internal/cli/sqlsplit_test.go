package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func splitAll(t testing.TB, r io.Reader) []string {
	t.Helper()
	var out []string
	s := newSplitter(r)
	for {
		st, err := s.next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		v := ""
		if st.vertical {
			v = "G"
		}
		out = append(out, fmt.Sprintf("%d%s:%s", st.line, v, st.text))
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \n ", nil},
		{"select 1", []string{"1:select 1"}},
		{"select 1;", []string{"1:select 1"}},
		{"select 1;\n\nselect\n2;select 3", []string{"1:select 1", "3:select\n2", "4:select 3"}},
		{";;", []string{"1:", "1:"}},
		{`select ';', ";", ` + "`;`" + `; x`, []string{`1:select ';', ";", ` + "`;`", "1:x"}},
		{`select 'a\';', 'it''s;'; x`, []string{`1:select 'a\';', 'it''s;'`, "1:x"}},
		{"select 1 -- ; no\n; x", []string{"1:select 1 -- ; no", "2:x"}},
		{"-- first;\n# second;\n/* third; */ select 1; -- rest", []string{"3:select 1"}},
		{"select 1--1;x", []string{"1:select 1--1", "1:x"}},
		{"select /* ; */ 1; /*!40000 set x = 1 */;", []string{"1:select /* ; */ 1", "1:/*!40000 set x = 1 */"}},
		{"select /*/ ; */ 1;", []string{"1:select /*/ ; */ 1"}},
		{"select 1\\G select 2\\g", []string{"1G:select 1", "1:select 2"}},
		{"delimiter //\nselect 1; select 2 //\ndelimiter ;\nselect 3;", []string{"2:select 1; select 2", "4:select 3"}},
		{"delimiter_x;", []string{"1:delimiter_x"}},
		{"DELIMITER $$\nselect 1$$ x", []string{"2:select 1", "2:x"}},
		{"create procedure p() begin select 1; select 2; end; x", []string{"1:create procedure p() begin select 1; select 2; end", "1:x"}},
		{"create trigger t before insert on x for each row begin if new.a then set new.b = case when 1 then 2 end; end if; end; x",
			[]string{"1:create trigger t before insert on x for each row begin if new.a then set new.b = case when 1 then 2 end; end if; end", "1:x"}},
		{"create procedure p() begin case 1 when 1 then select 1; end case; while 0 do select 1; end while; end; x",
			[]string{"1:create procedure p() begin case 1 when 1 then select 1; end case; while 0 do select 1; end while; end", "1:x"}},
		{"begin; commit; x", []string{"1:begin", "1:commit", "1:x"}},
		{"create table `begin` (a int); x", []string{"1:create table `begin` (a int)", "1:x"}},
		{"select 'open", []string{"1:select 'open"}},
		{"/* open", nil},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			if got := splitAll(t, r); fmt.Sprint(got) != fmt.Sprint(c.want) || len(got) != len(c.want) {
				t.Errorf("%q:\n have %q\n want %q", c.in, got, c.want)
			}
		}
	}
}

// Statements without quotes, comments and bodies come back as they were joined.
func TestSplitJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.StringMatching(`[a-z]{1,8}( ('[^'\\]*'|[0-9a-z(),=*]{1,6})){0,5}`)).Draw(t, "statements")
		for i, p := range parts {
			if strings.HasPrefix(p, "delimiter ") || p == "delimiter" || strings.HasPrefix(p, "create ") {
				parts[i] = "x"
			}
		}
		s := newSplitter(strings.NewReader(strings.Join(parts, ";\n") + ";"))
		for i, want := range parts {
			got, err := s.next()
			if err != nil || got.text != want {
				t.Fatalf("statement %d: %q, %v, want %q", i, got.text, err, want)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"select 1; x", "delimiter //\nx//", "'\\", "/*", "create procedure p() begin end case;", "\\G"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		for _, st := range splitAll(t, strings.NewReader(in)) {
			n += len(st)
		}
		if n > len(in)*4+64 {
			t.Fatalf("%d bytes of statements out of %d", n, len(in))
		}
	})
}
