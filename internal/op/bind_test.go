package op

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
)

func words(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(s, " ")
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "_", " ")
	}
	return out
}

// What a flag takes at least holds for those who give it, not for its default.
func TestLeast(t *testing.T) {
	spec := logSpec()
	for _, argv := range [][]string{{"-n", "-1"}, {"--number=-7"}, {"--min-parents", "-1"}} {
		if _, err := BindArgs(spec, argv); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "want a whole number from 0") {
			t.Errorf("%q: %v", argv, err)
		}
	}
	if _, err := BindJSON(spec, []byte(`{"number":-1}`)); !errs.Is(err, errs.Invalid) {
		t.Errorf("JSON: %v", err)
	}
	for _, argv := range [][]string{nil, {"-0"}, {"-n", "3"}} {
		if _, err := BindArgs(spec, argv); err != nil {
			t.Errorf("%q: %v", argv, err)
		}
	}
	for _, bad := range []any{
		&struct {
			A bool `flag:"a" least:"0"`
		}{},
		&struct {
			A int `flag:"a" least:"none"`
		}{},
	} {
		if _, err := ParamsOf(bad); err == nil {
			t.Errorf("%T is taken", bad)
		}
	}
}

func TestBindArgs(t *testing.T) {
	def := func(change func(*sample)) *sample {
		s := &sample{Limit: -1, Keys: []string{"id"}, Ref: "HEAD"}
		change(s)
		return s
	}
	for _, c := range []struct {
		argv string // words; _ is a space within one
		want func(*sample)
	}{
		{"", func(*sample) {}},
		{"-m a_b", func(s *sample) { s.Message = "a b" }},
		{"-ma", func(s *sample) { s.Message = "a" }},
		{"-m=a", func(s *sample) { s.Message = "a" }},
		{"--message=a=b", func(s *sample) { s.Message = "a=b" }},
		{"--message=", func(s *sample) { s.Message = "" }},
		{"--message --all", func(s *sample) { s.Message = "--all" }},
		{"-am text", func(s *sample) { s.All, s.Message = true, "text" }},
		{"-afmtext", func(s *sample) { s.All, s.Force, s.Message = true, true, "text" }},
		{"-a -f", func(s *sample) { s.All, s.Force = true, true }},
		{"--all=false", func(*sample) {}},
		{"-a=false -f=TRUE", func(s *sample) { s.Force = true }},
		{"-n 5", func(s *sample) { s.Limit = 5 }},
		{"-n -5", func(s *sample) { s.Limit = -5 }},
		{"-n-5", func(s *sample) { s.Limit = -5 }},
		{"-5", func(s *sample) { s.Limit = 5 }},
		{"--limit=0", func(s *sample) { s.Limit = 0 }},
		{"--big -9223372036854775808", func(s *sample) { s.Big = -1 << 63 }},
		{"--author a,b --author c", func(s *sample) { s.Author = []string{"a,b", "c"} }},
		{"--pk a,b", func(s *sample) { s.Keys = []string{"a", "b"} }},
		{"-pk a,b", func(s *sample) { s.Keys = []string{"a", "b"} }},
		{"-pk=a", func(s *sample) { s.Keys = []string{"a"} }},
		{"--pk a --pk b,c", func(s *sample) { s.Keys = []string{"a", "b", "c"} }},
		{"--every 1d12h", func(s *sample) { s.Every = 36 * time.Hour }},
		{"--date 2024-01-31T10:00:00+02:00", func(s *sample) { s.Date = time.Date(2024, 1, 31, 10, 0, 0, 0, time.FixedZone("", 7200)) }},
		{"--date 2024-01-31_10:00:00", func(s *sample) { s.Date = time.Date(2024, 1, 31, 10, 0, 0, 0, time.UTC) }},
		{"--date 2024-01-31", func(s *sample) { s.Date = time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC) }},
		{"--date @86400", func(s *sample) { s.Date = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC) }},
		{"--decorate main", func(s *sample) { s.Stat, s.Ref = "short", "main" }},
		{"--decorate=full main", func(s *sample) { s.Stat, s.Ref = "full", "main" }},
		{"--cached", func(s *sample) { s.Staged = true }},
		{"HEAD~1 HEAD^ t1 t2", func(s *sample) { s.Ref, s.Second, s.Tables = "HEAD~1", "HEAD^", []string{"t1", "t2"} }},
		{"a -m x b -f c", func(s *sample) {
			s.Ref, s.Second, s.Tables, s.Message, s.Force = "a", "b", []string{"c"}, "x", true
		}},
		{"a -- -b --all", func(s *sample) { s.Ref, s.Paths = "a", []string{"-b", "--all"} }},
		{"-- t", func(s *sample) { s.Paths = []string{"t"} }},
		{"--", func(*sample) {}},
		{"-", func(s *sample) { s.Ref = "-" }},
		{"--secret x", func(s *sample) { s.Hidden = "x" }},
		{"äö", func(s *sample) { s.Ref = "äö" }},
	} {
		got, err := BindArgs(sampleSpec(), words(c.argv))
		if err != nil {
			t.Errorf("%q: %v", c.argv, err)
			continue
		}
		if d := cmp.Diff(def(c.want), got); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.argv, d)
		}
	}
	if got, err := BindArgs(sampleSpec(), []string{"", "x"}); err != nil || got.(*sample).Ref != "" || got.(*sample).Second != "x" {
		t.Errorf("an empty argument: %+v, %v", got, err)
	}
}

func TestArgumentsThatLookLikeNumbers(t *testing.T) {
	for _, c := range []struct{ argv, name string }{{"-5", "-5"}, {"-y -1.5", "-1.5"}, {"-- -y", "-y"}, {"HEAD~1", "HEAD~1"}} {
		got, err := BindArgs(strictSpec(), words(c.argv))
		if err != nil || got.(*strict).Name != c.name {
			t.Errorf("%q: %+v, %v", c.argv, got, err)
		}
	}
}

func TestBindArgsErrors(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		argv string
		want string
	}{
		{sampleSpec(), "--mesage x", `sample: unknown flag --mesage; did you mean '--message'?`},
		{sampleSpec(), "--zzzzzz", `sample: unknown flag --zzzzzz`},
		{sampleSpec(), "--secre x", `sample: unknown flag --secre`},
		{sampleSpec(), "-z", `sample: unknown flag -z`},
		{sampleSpec(), "-azf", `sample: unknown flag -z in -azf`},
		{sampleSpec(), "-ä", `sample: unknown flag -ä`},
		{sampleSpec(), "-limit 3", `sample: unknown flag -limit; did you mean '--limit'?`},
		{sampleSpec(), "-m", `sample: --message needs a value: --message <text>`},
		{sampleSpec(), "--limit", `sample: --limit needs a value: --limit <n>`},
		{sampleSpec(), "-n x", `sample: --limit "x": want a whole number`},
		{sampleSpec(), "--big 9223372036854775808", `sample: --big "9223372036854775808": want a whole number`},
		{sampleSpec(), "--all=perhaps", `sample: --all "perhaps": want true or false`},
		{sampleSpec(), "--every soon", `sample: --every "soon": want a duration such as 90s, 36h or 14d`},
		{sampleSpec(), "--date now", `sample: --date "now": want a time such as 2024-01-31T12:00:00Z or 2024-01-31`},
		{sampleSpec(), "--diff-mode rows", `sample: --diff-mode "rows": want one of row, line; did you mean 'row'?`},
		{sampleSpec(), "--decorate=x", `sample: --decorate "x": want one of short, full, no`},
		{strictSpec(), "", `strict: <name> is missing`},
		{strictSpec(), "a b", `strict: takes at most 1 argument, but was given 2: "a" "b"`},
		{strictSpec(), "a -y=x", `strict: -y "x": want true or false`},
		{versionSpec(), "x", `version: takes no arguments, but was given "x"`},
		{Spec{Name: "table"}, "", `table: a subcommand is missing`},
	} {
		_, err := BindArgs(c.spec, words(c.argv))
		if err == nil || err.Error() != c.want || !errs.Is(err, errs.Invalid) {
			t.Errorf("%q:\n got %v (%v)\nwant %s", c.argv, err, errs.CodeOf(err), c.want)
		}
	}
}

func TestSeveralTargets(t *testing.T) {
	var global struct {
		Force bool   `flag:"force"`
		Dir   string `flag:"dir,a"`
		Quiet bool   `flag:"quiet,q"`
	}
	params, err := ParamsOf(&global)
	if err != nil {
		t.Fatal(err)
	}
	s := sampleSpec()
	verb := s.New().(*sample)
	err = ParseArgs("x", words("-a --force -q --dir d ref"), Target{s.Params, verb}, Target{params, &global})
	if err != nil {
		t.Fatal(err)
	}
	if !verb.All || !verb.Force || !global.Force || !global.Quiet || global.Dir != "d" || verb.Ref != "ref" {
		t.Errorf("verb %+v, global %+v", verb, global)
	}
	global.Dir = ""
	rest, err := ParseLeading("x", words("--dir d -q log -q"), Target{params, &global})
	if err != nil || global.Dir != "d" || !reflect.DeepEqual(rest, []string{"log", "-q"}) {
		t.Errorf("leading: %v, %v, %+v", rest, err, global)
	}
}

func TestParamsOfRefuses(t *testing.T) {
	for _, c := range []struct {
		ptr  any
		want string
	}{
		{nil, "not a pointer"},
		{new(int), "not a pointer"},
		{&struct {
			A float64 `flag:"a"`
		}{}, "type float64 cannot be a parameter"},
		{&struct {
			a int `flag:"a"`
		}{}, "must be exported"},
		{&struct {
			A int `flag:"a"`
			B int `flag:"b" alias:"a"`
		}{}, "the flag --a belongs to A already"},
		{&struct {
			A int `flag:"a,x"`
			B int `flag:"b,x"`
		}{}, "the flag -x belongs to A already"},
		{&struct {
			A string `arg:"1"`
			B string `arg:"1"`
		}{}, "the place of argument 1 belongs to A already"},
		{&struct {
			A string `arg:"rest"`
		}{}, "many arguments need a []string"},
		{&struct {
			A string `arg:"zero"`
		}{}, "want a position"},
		{&struct {
			A string `flag:"a,bc"`
		}{}, "want a long name, a letter or both"},
		{&struct {
			A string `flag:"a" required:"yes"`
		}{}, "want true"},
		{&struct {
			A string `flag:"a" number:"true"`
		}{}, "needs an int"},
		{&struct {
			A string `arg:"1" bare:"x"`
		}{}, "only a flag"},
	} {
		if _, err := ParamsOf(c.ptr); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want %q", c.ptr, err, c.want)
		}
	}
}

func TestBindJSON(t *testing.T) {
	got, err := BindJSON(sampleSpec(), []byte(`{"message":"x","all":true,"limit":7,"pk":"a,b","author":["p","q"],"every":"90s",
		"date":"2024-01-31","second":"b","diff_mode":"line","big":9223372036854775807,"tables":null,"paths":[]}`))
	want := &sample{Message: "x", All: true, Limit: 7, Keys: []string{"a", "b"}, Author: []string{"p", "q"}, Every: 90 * time.Second,
		Date: time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC), Ref: "HEAD", Second: "b", Mode: "line", Big: 1<<63 - 1}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err := BindJSON(sampleSpec(), nil); err != nil {
		t.Errorf("an empty body: %v", err)
	}
	for _, c := range []struct{ body, want string }{
		{`[]`, `sample: want a JSON object of parameters`},
		{`{"mesage":"x"}`, `sample: unknown parameter "mesage"; did you mean 'message'?`},
		{`{"all":1}`, `sample: parameter "all": want true or false, have 1`},
		{`{"limit":1.5}`, `sample: parameter "limit": want a whole number, have 1.5`},
		{`{"big":9223372036854775808}`, `sample: parameter "big": want a whole number, have 9223372036854775808`},
		{`{"message":1}`, `sample: parameter "message": want a string, have 1`},
		{`{"author":[1]}`, `sample: parameter "author": want an array of strings, have [1]`},
		{`{"diff_mode":"no"}`, `sample: --diff-mode "no": want one of row, line`},
		{`{"all":true,"all":false}`, `sample: parameter "all" is given twice`},
		{`{} {}`, `sample: more follows the JSON object of parameters`},
		{`{"all":true`, `sample: read parameters: EOF`},
	} {
		_, err := BindJSON(sampleSpec(), []byte(c.body))
		if err == nil || err.Error() != c.want || !errs.Is(err, errs.Invalid) {
			t.Errorf("%s:\n got %v\nwant %s", c.body, err, c.want)
		}
	}
}

// Invariant O2.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		str := rapid.String()
		strs := rapid.SliceOfN(str, 0, 4)
		in := &sample{
			Message: str.Draw(t, "message"), All: rapid.Bool().Draw(t, "all"), Limit: rapid.Int().Draw(t, "limit"),
			Big: rapid.Int64().Draw(t, "big"), Author: strs.Draw(t, "author"), Keys: strs.Draw(t, "keys"),
			Every: time.Duration(rapid.Int64().Draw(t, "every")), Ref: str.Draw(t, "ref"), Tables: strs.Draw(t, "tables"),
			Stat: rapid.SampledFrom([]string{"short", "full", "no", ""}).Draw(t, "stat"),
		}
		if rapid.Bool().Draw(t, "dated") {
			in.Date = time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}
		b, err := EncodeJSON(sampleSpec(), in)
		if err != nil {
			t.Fatal(err)
		}
		if in.Stat == "" { // the zero value is not in the enum, but is the default
			if strings.Contains(string(b), "decorate") {
				t.Fatalf("a default was encoded: %s", b)
			}
		}
		out, err := BindJSON(sampleSpec(), b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		none := func(s []string) []string {
			if len(s) == 0 {
				return nil
			}
			return s
		}
		in.Author, in.Keys, in.Tables = none(in.Author), none(in.Keys), none(in.Tables)
		if d := cmp.Diff(in, out); d != "" {
			t.Fatalf("%s (-in +out):\n%s", b, d)
		}
	})
	if _, err := ParseTime("@999999999999"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a time that has no text: %v", err)
	}
	if _, err := EncodeJSON(sampleSpec(), &sample{Message: "\xff"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("not UTF-8: %v", err)
	}
}

func FuzzBindArgs(f *testing.F) {
	f.Add("-am x -- y")
	f.Add("--pk a,b --every=1d -5 - -n-5")
	f.Add("-=x --=y ---z")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := BindArgs(sampleSpec(), strings.Split(line, " "))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%q: class %v", line, errs.CodeOf(err))
			}
			return
		}
		b, err := EncodeJSON(sampleSpec(), o)
		if err != nil {
			return
		}
		again, err := BindJSON(sampleSpec(), b)
		if err != nil {
			t.Fatalf("%q: %s: %v", line, b, err)
		}
		if b2, err := EncodeJSON(sampleSpec(), again); err != nil || string(b) != string(b2) {
			t.Errorf("%q: %s, then %s, %v", line, b, b2, err)
		}
	})
}

func FuzzBindJSON(f *testing.F) {
	f.Add([]byte(`{"message":"x","limit":1}`))
	f.Add([]byte(`{"pk":["a"],"date":"2024-01-31"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := BindJSON(sampleSpec(), body); err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: class %v: %v", body, errs.CodeOf(err), err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "14d": 14 * 24 * time.Hour, "1d1h": 25 * time.Hour, "-1d1h": -25 * time.Hour, "0d": 0} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "1.5d", "1d-1h", "1d1d", "999999999999d", "106751d24h", "x"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"commit", "config", "checkout", "merge", "merge-base", "log", "ls", "--limit"}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"comit", []string{"commit"}}, {"chekcout", []string{"checkout"}}, {"mrege", []string{"merge"}}, {"COMMIT", []string{"commit"}},
		{"me", []string{"merge", "merge-base"}}, {"xyzzy", nil}, {"l", []string{"ls"}}, {"", nil}, {"--limt", []string{"--limit"}}, {"--", nil},
	} {
		if got := errs.Nearest(c.name, names); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Every verb must be usable from every edge: a name for each parameter, and defaults that can be encoded.
func TestAllSpecs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All() {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if s.Short == "" || strings.HasSuffix(s.Short, ".") || s.Group == "" || len(s.Words()) > 2 {
			t.Errorf("%s: want a group, a short description without a full stop and a name of one or two words", s.Name)
		}
		if s.New == nil {
			continue
		}
		b, err := EncodeJSON(s, s.New())
		if err != nil || string(b) != "{}" {
			t.Errorf("%s: the defaults encode as %s, %v", s.Name, b, err)
		}
		for _, p := range s.Params {
			if p.Help == "" {
				t.Errorf("%s: parameter %s has no help", s.Name, p.Name)
			}
			if p.Flag == "help" || p.Short == "h" {
				t.Errorf("%s: parameter %s takes the flag of help", s.Name, p.Name)
			}
			var v any
			if err := json.Unmarshal([]byte(`"`+p.Name+`"`), &v); err != nil || strings.ContainsAny(p.Name, "- ") {
				t.Errorf("%s: parameter %q cannot be a keyword", s.Name, p.Name)
			}
		}
	}
}
