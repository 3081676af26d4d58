package op

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// tables is a database in memory on which the verbs of tables are tried.
type tables struct {
	t   *testing.T
	s   *Scope
	out bytes.Buffer
	by  string // the run that verbs of training data work for; "" for none
}

func newTables(t *testing.T) *tables {
	t.Helper()
	ctx := context.Background()
	fs := vfs.NewMem()
	at := clock.Fixed{T: time.Date(2021, 4, 7, 9, 0, 0, 0, time.UTC)}
	sig := history.Signature{Name: "Ada", Email: "ada@example.org", Time: at.T}
	if err := repo.Init(ctx, fs, "/db", repo.InitOptions{Author: sig, Committer: sig}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(ctx, fs, "/db", repo.Options{Clock: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	x := &tables{t: t}
	x.s = &Scope{Dir: "/db", FS: fs, Repo: r, Clock: at, Author: Author{"Ada", "ada@example.org"}, Out: &x.out}
	return x
}

// file makes a file.
func (x *tables) file(name, text string) {
	x.t.Helper()
	if err := vfs.WriteFile(x.s.FS, "/db/"+name, []byte(text)); err != nil {
		x.t.Fatal(err)
	}
}

// read is a file's content.
func (x *tables) read(name string) string {
	x.t.Helper()
	b, err := vfs.ReadFile(x.s.FS, "/db/"+name)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// run runs a verb and gives its lines and hints.
func (x *tables) run(argv ...string) (string, error) {
	x.t.Helper()
	n := 2
	if argv[0] != "table" {
		n = 1
	}
	spec, ok := Find(All(), strings.Join(argv[:n], " "))
	if !ok {
		x.t.Fatal("no verb", argv)
	}
	o, err := BindArgs(spec, argv[n:])
	if err != nil {
		return "", err
	}
	x.out.Reset()
	r, err := o.Run(context.Background(), x.s)
	if err != nil {
		return "", err
	}
	if _, err := r.MarshalJSON(); err != nil {
		x.t.Error(err)
	}
	return strings.Join(append(r.Lines, r.Hints...), "\n"), nil
}

func (x *tables) ok(want string, argv ...string) {
	x.t.Helper()
	got, err := x.run(argv...)
	if err != nil {
		x.t.Fatalf("%v: %v", argv, err)
	}
	if got != want {
		x.t.Errorf("%v:\n%s\nwant:\n%s", argv, got, want)
	}
}

func (x *tables) fails(code errs.Code, want string, argv ...string) {
	x.t.Helper()
	_, err := x.run(argv...)
	if !errs.Is(err, code) || !strings.Contains(err.Error(), want) {
		x.t.Errorf("%v: %v (%s)\nwant %s: %s", argv, err, errs.CodeOf(err), code, want)
	}
}

// has compares a table's rows.
func (x *tables) has(table, want string) {
	x.t.Helper()
	if _, err := x.run("table", "export", table); err != nil {
		x.t.Fatal(err)
	}
	if got := x.out.String(); got != want {
		x.t.Errorf("%s:\n%swant:\n%s", table, got, want)
	}
}

func TestImportModes(t *testing.T) {
	x := newTables(t)
	x.file("my prices.csv", "id,code,price\n2,b,2.50\n1,a,\n")
	x.ok("Rows Processed: 2, Additions: 2, Modifications: 0, Had No Effect: 0\nImport completed successfully.\n"+
		"inferred: id INT, code VARCHAR(255), price DOUBLE\nno primary key: id, code could be one; use --pk", "table", "import", "my prices.csv")
	x.has("my_prices", "id,code,price\n2,b,2.5\n1,a,\n") // keyless: the order written
	x.fails(errs.Exists, "table my_prices already exists: use -u", "table", "import", "my prices.csv")
	x.fails(errs.Exists, "-c -f", "table", "import", "-c", "my_prices", "my prices.csv")

	x.ok("Rows Processed: 2, Additions: 2, Modifications: 0, Had No Effect: 0\nImport completed successfully.\n"+
		"inferred: id INT, code VARCHAR(255), price DOUBLE", "table", "import", "-c", "-f", "--pk", "id", "my_prices", "my prices.csv")
	x.has("my_prices", "id,code,price\n1,a,\n2,b,2.5\n")

	x.file("new.csv", "PRICE,id\n9,1\n2.5,2\n7,3\n")
	x.ok("Rows Processed: 3, Additions: 1, Modifications: 1, Had No Effect: 1\nImport completed successfully.", "table", "import", "-u", "My_Prices", "new.csv")
	x.has("my_prices", "id,code,price\n1,a,9\n2,b,2.5\n3,,7\n") // a column that the file lacks keeps its values

	x.fails(errs.DuplicateKey, "new.csv line 2: duplicate primary key '1'; the table has it already", "table", "import", "-a", "my_prices", "new.csv")
	x.ok("Rows Processed: 3, Additions: 0, Modifications: 0, Had No Effect: 3\nImport completed successfully.", "table", "import", "-a", "--continue", "my_prices", "new.csv")
	x.s.In = strings.NewReader("4,d,4\n")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-a", "--no-header", "my_prices")
	x.has("my_prices", "id,code,price\n1,a,9\n2,b,2.5\n3,,7\n4,d,4\n")

	x.file("all.csv", "id|code|price\n8|x|1\n")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-r", "--file-type", "psv", "my_prices", "all.csv")
	x.has("my_prices", "id,code,price\n8,x,1\n")

	x.file("other.csv", "n,extra,c\n5,?,e\n")
	x.fails(errs.Invalid, "other.csv has a column n that table my_prices has not", "table", "import", "-u", "my_prices", "other.csv")
	x.file("map.json", `{"n": "id", "c": "code"}`)
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-u", "--map", "map.json", "my_prices", "other.csv")
	x.file("some.csv", "id,what,code\n6,?,f\n")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-u", "--columns", "id,code", "my_prices", "some.csv")
	x.has("my_prices", "id,code,price\n5,e,\n6,f,\n8,x,1\n")

	x.s.In = strings.NewReader("a;b\n01;x\n")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-c", "--all-text", "--delim", ";", "--quiet", "texts", "-")
	x.has("texts", "a,b\n01,x\n")
}

func TestImportNulls(t *testing.T) {
	x := newTables(t)
	x.file("n.csv", "NA,b,c\n1,NA,x\n\\N,2.5,\"NA\"\n3,,NAN\n")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nImport completed successfully.\n"+
		"inferred: NA INT, b DOUBLE, c VARCHAR(255)\nno primary key: c could be one; use --pk", "table", "import", "-c", "--null", `NA,\N`, "n", "n.csv")
	x.has("n", "NA,b,c\n1,,x\n,2.5,NA\n3,,NAN\n")
	x.fails(errs.Constraint, "it cannot be NULL", "table", "import", "-c", "--null", `NA,\N`, "--pk", "NA", "keyed", "n.csv")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-r", "--null", `NA,\N,x`, "n", "n.csv")
	x.has("n", "NA,b,c\n1,,\n,2.5,NA\n3,,NAN\n")

	// Texts that often mean NULL are pointed out when they make a column text, or cannot be loaded.
	x.file("h.csv", "id,dep,d,who,q\n1,NA,2020-01-01,NA,\"NA\"\n2,5,NULL,x,1\n3,-7,NA,y,2\n")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nImport completed successfully.\n"+
		"inferred: id INT, dep VARCHAR(255), d VARCHAR(255), who VARCHAR(255), q VARCHAR(255)\n"+
		"if NA or NULL means NULL, use --null 'NA,NULL': then dep INT, d DATE", "table", "import", "-c", "--pk", "id", "h", "h.csv")
	x.has("h", "id,dep,d,who,q\n1,NA,2020-01-01,NA,NA\n2,5,NULL,x,1\n3,-7,NA,y,2\n")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nImport completed successfully.\n"+
		"inferred: id INT, dep INT, d VARCHAR(255), who VARCHAR(255), q VARCHAR(255)\n"+
		"if NULL means NULL, use --null 'NA,NULL': then d DATE", "table", "import", "-c", "-f", "--null", "NA", "--pk", "id", "h", "h.csv")
	x.fails(errs.Invalid, "h.csv line 2, column dep: parse \"NA\" as int: not a whole number; if NA means NULL, say --null 'NA'", "table", "import", "-r", "--null", "-7", "h", "h.csv")
}

func TestImportRefusals(t *testing.T) {
	x := newTables(t)
	x.file("t.csv", "id,name\n1,a\n")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-c", "--quiet", "--pk", "id", "t", "t.csv")
	before := x.branchState()
	x.file("bad.csv", "id,name\n2,b\n3,\"c\n")
	x.file("wide.csv", "id,name\n2,b\n3,c,d\n")
	x.file("dup.csv", "id,name\n2,b\n2,c\n")
	x.file("empty.csv", "")
	for _, c := range []struct {
		code errs.Code
		want string
		argv string
	}{
		{errs.Invalid, "bad.csv line 3: a quoted field that begins here is not closed", "-a t bad.csv"},
		{errs.Invalid, "wide.csv line 3: 3 fields, want 2", "-a t wide.csv"},
		{errs.Invalid, "wide.csv line 3: 3 fields, want 2", "-c u wide.csv"},
		{errs.DuplicateKey, "dup.csv line 3", "-a t dup.csv"},
		{errs.Invalid, "the file is empty", "-a t empty.csv"},
		{errs.NotFound, "table not found: tt; use -c to make it; did you mean 't'?", "-a tt t.csv"},
		{errs.NotFound, "read none.csv", "-a t none.csv"},
		{errs.Invalid, "exclude each other", "-a -u t t.csv"},
		{errs.Invalid, "--pk goes with -c", "-a --pk id t t.csv"},
		{errs.Invalid, "--pk: t.csv has no column nam; did you mean 'name'?", "-c --pk nam v t.csv"},
		{errs.Invalid, `delimiter "xx"`, "-a --delim xx t t.csv"},
		{errs.Unsupported, "x.orc: files of type orc are not understood", "-c x x.orc"},
		{errs.NotFound, "x.parquet", "-c x x.parquet"},
		{errs.Invalid, "--delim and --no-header go with files of separated fields", "-c --delim ; x x.parquet"},
		{errs.Invalid, "--sheet goes with workbooks", "-c --sheet a x t.csv"},
		{errs.Invalid, "there is no standard input", "-a t"},
		{errs.Invalid, "name a table", ""},
	} {
		x.fails(c.code, c.want, append([]string{"table", "import"}, strings.Fields(c.argv)...)...)
	}
	if after := x.branchState(); after != before {
		t.Errorf("a failed import changed something: %s, was %s", after, before)
	}
	if left, err := x.s.FS.ReadDir(x.s.Repo.TempDir()); err == nil && len(left) > 0 {
		t.Error("files left:", left)
	}
	if b := x.read("bad.csv"); b != "id,name\n2,b\n3,\"c\n" {
		t.Error("the file was changed")
	}
}

// branchState identifies all of the working set.
func (x *tables) branchState() string {
	x.t.Helper()
	w, err := x.s.Repo.Fold(context.Background(), "main")
	if err != nil {
		x.t.Fatal(err)
	}
	return w.Working.Tree().Hash.Full()
}

func TestImportRejects(t *testing.T) {
	x := newTables(t)
	x.file("t.csv", "id,n\n1,1\n2,x\n3,\"3\n4,4\n5\n")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nLines skipped: 2\nImport completed successfully.\n"+
		"t.csv.rejects.csv has the lines that could not be loaded, and why\ninferred: id INT, n VARCHAR(255)", "table", "import", "-c", "--pk", "id", "--continue", "t", "t.csv")
	x.has("t", "id,n\n1,1\n2,x\n4,4\n")
	want := "line,reason,record\n" +
		"4,\"a quoted field that begins here is not closed before the end of the file: is the file cut off?\",\"3,\"\"3\"\n" +
		"6,\"1 field, want 2\",\"5\"\n"
	if got := x.read("t.csv.rejects.csv"); got != want {
		t.Errorf("%s", got)
	}
	x.file("u.csv", "id,n\n5,5\n5,x\n7\n")
	x.fails(errs.Invalid, "u.csv line 4: 1 field", "table", "import", "-a", "t", "u.csv")
	x.ok("Rows Processed: 1, Additions: 1, Modifications: 0, Had No Effect: 0\nLines skipped: 2\nImport completed successfully.\n"+
		"why.csv has the lines that could not be loaded, and why", "table", "import", "-a", "--continue", "--rejects", "why.csv", "t", "u.csv")
	want = "line,reason,record\n4,\"1 field, want 2\",\"7\"\n3,\"duplicate primary key '5'; an earlier line has it, with other values\",\"5,x\"\n"
	if got := x.read("why.csv"); got != want {
		t.Errorf("%s", got)
	}
}

// TestImportRejectsDuplicates looks for each way in which a loader meets a row whose key is there: next to each other and apart, in order
// and not, in the file and in the table. Equal rows are no reject, and neither is a row that is equal in the columns of the file.
func TestImportRejectsDuplicates(t *testing.T) {
	x := newTables(t)
	x.file("t.csv", "\xef\xbb\xbfid,a,b\n1,x,y\n1,x,y\n1,x,z\n3,c,c\n2,b,\"two\nlines\"\n3,c,d\n2,b,\"two\nlines\"\n2,b,\"two\nmore\"\n4,,\n")
	x.ok("Rows Processed: 6, Additions: 4, Modifications: 0, Had No Effect: 2\nLines skipped: 3\nImport completed successfully.\n"+
		"t.csv.rejects.csv has the lines that could not be loaded, and why", "table", "import", "-c", "--quiet", "--pk", "id", "--continue", "t", "t.csv")
	x.has("t", "id,a,b\n1,x,y\n2,b,\"two\nlines\"\n3,c,c\n4,,\n")
	want := "line,reason,record\n" +
		"4,\"duplicate primary key '1'; an earlier line has it, with other values\",\"1,x,z\"\n" +
		"8,\"duplicate primary key '3'; an earlier line has it, with other values\",\"3,c,d\"\n" +
		"11,\"duplicate primary key '2'; an earlier line has it, with other values\",\"2,b,\"\"two\nmore\"\"\"\n"
	if got := x.read("t.csv.rejects.csv"); got != want {
		t.Errorf("%s", got)
	}
	x.file("u.csv", "id,a\n5,e\n2,b\n5,f\n1,w\n6,f\n")
	x.ok("Rows Processed: 3, Additions: 2, Modifications: 0, Had No Effect: 1\nLines skipped: 2\nImport completed successfully.\n"+
		"u.csv.rejects.csv has the lines that could not be loaded, and why", "table", "import", "-a", "--continue", "t", "u.csv")
	want = "line,reason,record\n" +
		"4,\"duplicate primary key '5'; an earlier line has it, with other values\",\"5,f\"\n" +
		"5,\"duplicate primary key '1'; the table has it, with other values\",\"1,w\"\n"
	if got := x.read("u.csv.rejects.csv"); got != want {
		t.Errorf("%s", got)
	}
	// Many lines, so that the loader begins to build and then sorts, and the file has many blocks.
	var b, rejects strings.Builder
	b.WriteString("id,v\n")
	rejects.WriteString("line,reason,record\n")
	for i := range 200_000 {
		fmt.Fprintf(&b, "%d,%s\n", i, strings.Repeat("v", 400))
	}
	for i := range 50 {
		fmt.Fprintf(&b, "%d,w%d\n", i*4001%200_000, i)
		fmt.Fprintf(&rejects, "%d,\"duplicate primary key '%d'; an earlier line has it, with other values\",\"%[2]d,w%d\"\n", 200_002+i, i*4001%200_000, i)
	}
	x.file("many.csv", b.String())
	x.ok("Rows Processed: 200000, Additions: 200000, Modifications: 0, Had No Effect: 0\nLines skipped: 50\nImport completed successfully.\n"+
		"many.csv.rejects.csv has the lines that could not be loaded, and why", "table", "import", "-c", "--quiet", "--pk", "id", "--continue", "many", "many.csv")
	if got := x.read("many.csv.rejects.csv"); got != rejects.String() {
		t.Errorf("%s", got)
	}
}

func TestExport(t *testing.T) {
	x := newTables(t)
	x.file("t.csv", "id,s,f\n1,,0.1\n2,\"\",1e300\n3,\"a,b\",\n")
	x.ok("Rows Processed: 3, Additions: 3, Modifications: 0, Had No Effect: 0\nImport completed successfully.", "table", "import", "-c", "--quiet", "--pk", "id", "t", "t.csv")
	x.ok("Successfully exported data.", "table", "export", "t", "out.csv")
	if got, want := x.read("out.csv"), "id,s,f\n1,,0.1\n2,\"\",1e+300\n3,\"a,b\",\n"; got != want {
		t.Errorf("%s", got)
	}
	x.fails(errs.Exists, "use -f to overwrite", "table", "export", "t", "out.csv")
	x.ok("Successfully exported data.", "table", "export", "-f", "--no-header", "t", "out.psv")
	x.ok("Successfully exported data.", "table", "export", "-f", "--no-header", "t", "out.psv")
	if got, want := x.read("out.psv"), "1||0.1\n2|\"\"|1e+300\n3|a,b|\n"; got != want {
		t.Errorf("%s", got)
	}
	if _, err := x.run("commit", "-Am", "first"); err != nil {
		t.Fatal(err)
	}
	x.file("u.csv", "id,s\n1,changed\n")
	x.ok("Rows Processed: 1, Additions: 0, Modifications: 1, Had No Effect: 0\nImport completed successfully.", "table", "import", "-u", "t", "u.csv")
	x.has("t", "id,s,f\n1,changed,0.1\n2,\"\",1e+300\n3,\"a,b\",\n")
	x.has("t@HEAD", "id,s,f\n1,,0.1\n2,\"\",1e+300\n3,\"a,b\",\n")
	x.fails(errs.NotFound, "table not found: tt; did you mean 't'?", "table", "export", "tt")
	x.fails(errs.NotFound, "nowhere", "table", "export", "t@nowhere")
	x.fails(errs.Invalid, "it is a directory", "table", "export", "-f", "t", ".stemma")
}

// What an import says of the table that it made is short however wide the file is, and tells of another separator.
func TestImportHints(t *testing.T) {
	x := newTables(t)
	var head, row []string
	for i := range 30 {
		head, row = append(head, fmt.Sprintf("c%d", i)), append(row, "1")
	}
	x.file("wide.csv", strings.Join(head, ",")+"\n"+strings.Join(row, ",")+"\n")
	got, err := x.run("table", "import", "wide.csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"c18 INT, c19 INT and 10 more\n", "no primary key: c0, ", "c19 and 10 more could be one"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for sep, want := range map[string]string{";": "use --delim ';'", "\t": `use --delim '\t'`} {
		x.file("sep.csv", "a"+sep+"b\n1"+sep+"2\n")
		if got, err := x.run("table", "import", "-c", "-f", "sep", "sep.csv"); err != nil || !strings.Contains(got, want) {
			t.Errorf("%q: %v\n%s", sep, err, got)
		}
	}
}

// TestFileTypes holds that a table goes out and in as files of other types than CSV, its key included, and that a damaged one leaves
// nothing.
func TestFileTypes(t *testing.T) {
	x := newTables(t)
	x.file("t.csv", "id,name,day\n2,b,2024-01-02\n1,\"\",\n")
	if _, err := x.run("table", "import", "--pk", "id", "t.csv"); err != nil {
		t.Fatal(err)
	}
	const want = "id,name,day\n1,\"\",\n2,b,2024-01-02\n"
	for _, name := range []string{"p.parquet", "a.arrow", "s.arrows"} {
		x.ok("Successfully exported data.", "table", "export", "t", name)
		base, _, _ := strings.Cut(name, ".")
		if _, err := x.run("table", "import", name); err != nil {
			t.Fatal(err)
		}
		x.has(base, want)
		x.fails(errs.DuplicateKey, "'1'", "table", "import", "-a", base, name)
		whole := x.read(name)
		x.file("cut"+name, whole[:len(whole)/2])
		x.fails(errs.Invalid, "cut"+name, "table", "import", "-c", "cut", "cut"+name)
		x.fails(errs.NotFound, "table not found: cut", "table", "export", "cut")
	}
	for _, name := range []string{"t.csv.gz", "t.jsonl", "t.json.zst"} {
		x.ok("Successfully exported data.", "table", "export", "t", name)
		if _, err := x.run("table", "import", "-r", "t", name); err != nil {
			t.Fatal(err)
		}
		x.has("t", want)
	}
	x.file("n.jsonl", `{"id": 1, "tags": ["a"], "who": {"x": 1}}`+"\n"+`{"id": 2}`+"\n")
	if _, err := x.run("table", "import", "--pk", "id", "n.jsonl"); err != nil {
		t.Fatal(err)
	}
	x.has("n", "id,tags,who\n1,\"[\"\"a\"\"]\",\"{\"\"x\"\": 1}\"\n2,,\n")
}
