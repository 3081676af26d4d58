package training

import (
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
)

const kalido = `model: {kind: nlp, layers: [64, 32], version: 1e10}
train:
- client_data@0123456789abcdefghijklmnopqrstuv
- labelled_data@1234567
- random_stuff@1e10
test:
- some_table@2021-04-01
`

func TestConfigOfKalido(t *testing.T) {
	c, err := ParseConfig("stemma.yaml", []byte(kalido))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Splits {
		for _, i := range s.Items {
			got = append(got, s.Name+" "+i.Table+" "+i.Ref)
		}
	}
	want := "train client_data 0123456789abcdefghijklmnopqrstuv, train labelled_data 1234567, train random_stuff 1e10, test some_table 2021-04-01"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, ", "), want)
	}
	if p := c.Policy("any"); !p.Any() {
		t.Error("without a policy any change is enough")
	}
}

func TestConfigLong(t *testing.T) {
	c, err := ParseConfig("stemma.yaml", []byte(`
databases: {labels: ../labels}
splits:
  train:
  - {table: client_data, ref: 1234567, columns: [id, y], where: "country = 'DE'"}
  - {table: client_data, ref: 1e10}
  - labels:batch@main
  - {database: labels, table: batch, ref: 0x1f}
retrain:
  Client_Data: {rows: 500, percent: 1.5, schema: ignore, drift: {null_rate: 0.1, top: 0.2}}
  default: never
`))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.Split("train")
	if !ok || len(s.Items) != 4 {
		t.Fatalf("%+v", c)
	}
	for i, want := range []string{"client_data@1234567", "client_data@1e10", "labels:batch@main", "labels:batch@0x1f"} {
		if s.Items[i].String() != want {
			t.Errorf("%s, want %s", s.Items[i], want)
		}
	}
	p := c.Policy("client_data")
	if p.Any() || *p.Rows != 500 || *p.Percent != 1.5 || p.Schema != "ignore" || *p.NullRate != 0.1 || *p.Top != 0.2 || p.Mean != nil {
		t.Errorf("%+v", p)
	}
	if p = c.Policy("other"); !p.Never {
		t.Errorf("%+v", p)
	}
	if c.Databases["labels"] != "../labels" {
		t.Error(c.Databases)
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "c.yaml: the file is empty"},
		{"- a@b", "c.yaml line 1: want keys with values"},
		{"model: x", "c.yaml: it names no tables"},
		{"train: [a@b, a@b]", "c.yaml line 1: split train names a@b twice"},
		{"train: [a@]", `c.yaml line 1: "a@": no revision stands behind @`},
		{"splits: {train: a}", "c.yaml line 1: split train: want a list of tables"},
		{"train:\n- {table: a@x, ref: y}", "c.yaml line 2: a@x says x as well as y"},
		{"train:\n- {table: a, colums: [b]}", "c.yaml line 2: colums is not known here"},
		{"train: [a@b]\nretrain: {a: sometimes}", `c.yaml line 2: "sometimes": want any, never`},
		{"train: [a@b]\nretrain: {a: {rows: -1}}", `c.yaml line 2: rows "-1": want a whole number`},
		{"train: [a@b]\ntrain: [c@d]", "c.yaml line 2: train comes twice"},
		{"train: [a@b", "c.yaml: yaml: line 1"},
	} {
		_, err := ParseConfig("c.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestLockRoundTrip(t *testing.T) {
	h := strings.Repeat("0", 52)
	l := &Lock{Version: LockVersion, Config: h, Splits: []LockedSplit{{"train", []Pin{{
		Item: Item{Table: "t", Ref: "1e10", Columns: []string{"a"}, Where: "a > 1"}, Commit: h, TableHash: h, SchemaHash: h, ContentHash: h, Rows: 3, PrimaryKey: []string{"a"},
	}}}}}
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseLock("l", b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	again, _ := got.Encode()
	if string(again) != string(b) || got.Find("train", Item{Table: "T", Ref: "1e10", Columns: []string{"a"}, Where: "a > 1"}) == nil || got.Find("test", l.Splits[0].Items[0].Item) != nil {
		t.Errorf("%s", again)
	}
	for _, c := range []struct{ text, want string }{
		{"", "l: the lock file is empty"},
		{"version: 2", "l: it is of version 2"},
		{"version: 1\nfoo: 1", "it is no lock file"},
		{strings.ReplaceAll(string(b), h, "abc"), `"abc" is no hash of 52 characters`},
	} {
		if _, err := ParseLock("l", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestDrift(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	was := []Profile{{Column: "x", NullRate: 0.1, Mean: f(10), Deviation: f(2), Quantiles: []float64{6, 9, 10, 11, 14}}, {Column: "c", Top: []Share{{"a", 0.6}, {"b", 0.4}}}}
	is := []Profile{{Column: "X", NullRate: 0.3, Mean: f(11), Deviation: f(2), Quantiles: []float64{6, 9, 10, 15, 14}}, {Column: "c", Top: []Share{{"b", 0.9}, {"a", 0.1}}}}
	ds := Compare(was, is)
	if len(ds) != 2 || ds[0].Mean != 0.5 || ds[0].Quantile != 2 || ds[1].Top != 0.5 {
		t.Fatalf("%+v", ds)
	}
	p := Policy{Mean: f(0.5), Top: f(0.6)}
	if got := p.Exceeds(ds); len(got) != 1 || got[0] != "X: mean drifted by 0.5, the limit is 0.5" {
		t.Errorf("%q", got)
	}
}
