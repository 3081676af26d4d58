package op

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// data runs a verb of training data and gives its result.
func (x *tables) data(argv ...string) (*Result, error) {
	x.t.Helper()
	spec, ok := Find(All(), "data "+argv[0])
	if !ok {
		x.t.Fatal("no verb", argv)
	}
	o, err := BindArgs(spec, argv[1:])
	if err != nil {
		return nil, err
	}
	r, err := o.Run(x.context(), x.s)
	if err == nil {
		if _, err := r.MarshalJSON(); err != nil {
			x.t.Error(err)
		}
	}
	return r, err
}

// context is that of the run for which verbs of training data run, if there is one.
func (x *tables) context() context.Context {
	return lineage.With(context.Background(), lineage.Current{Run: x.by})
}

// dataSays compares lines and exit code of a verb of training data.
func (x *tables) dataSays(exit int, want string, argv ...string) {
	x.t.Helper()
	r, err := x.data(argv...)
	if err != nil {
		x.t.Fatalf("%v: %v", argv, err)
	}
	got := strings.Join(r.Lines, "\n")
	if r.ExitCode != exit || !strings.Contains(got, want) {
		x.t.Errorf("%v: exit %d, want %d\n%s\nwant\n%s", argv, r.ExitCode, exit, got, want)
	}
}

func (x *tables) must(argv ...string) {
	x.t.Helper()
	if _, err := x.run(argv...); err != nil {
		x.t.Fatalf("%v: %v", argv, err)
	}
}

func TestDataVerbs(t *testing.T) {
	x := newTables(t)
	x.file("clients.csv", "id,country,size\n1,DE,10\n2,FR,20\n3,DE,30\n")
	x.must("table", "import", "--pk", "id", "clients.csv")
	x.must("commit", "-A", "-m", "clients")
	x.file("stemma.yaml", "model: {kind: nlp}\ntrain:\n- clients@main\ntest:\n- {table: clients, ref: main, columns: [id, size]}\n")
	if _, err := x.data("verify"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "stemma.lock: there is no lock file") {
		t.Error(err)
	}
	x.dataSays(1, "there is no lock file", "lock", "--check")
	x.dataSays(0, "locked    train: clients@main (3 rows, commit ", "lock")
	lock := x.read("stemma.lock")
	x.dataSays(0, "kept      test: clients@main", "lock")
	if again := x.read("stemma.lock"); again != lock {
		t.Errorf("the lock changed:\n%s\nwas\n%s", again, lock)
	}
	x.dataSays(0, "stemma.lock is up to date.", "lock", "--check")
	x.dataSays(0, "ok       train: clients@main", "verify")
	x.dataSays(0, "Retrain: no.", "retrain")
	x.dataSays(0, "test/clients.csv: 3 rows", "export", "--split", "test", "-o", "csv")
	if got := x.read("test/clients.csv"); got != "id,size\n1,10\n2,20\n3,30\n" {
		t.Errorf("%q", got)
	}

	// A commit that leaves the table as it is makes nothing stale.
	x.must("commit", "--allow-empty", "-m", "nothing")
	x.dataSays(0, "up to date", "lock", "--check")
	x.dataSays(0, "train: clients@main: unchanged, at another commit", "status")

	// A change of the table is found, judged and explained; the locked rows stay.
	x.file("new.csv", "id,country,size\n2,FR,25\n4,IT,4000\n")
	x.must("table", "import", "-u", "clients", "new.csv")
	x.must("commit", "-A", "-m", "more")
	x.dataSays(1, "stale: train: clients@main: the table has changed since commit", "lock", "--check")
	x.dataSays(0, "train: clients@main: +1 -0 ~1 rows (66.67%)", "status")
	x.dataSays(10, "train: clients@main: 1 rows added, 0 removed, 1 modified", "retrain")
	x.dataSays(0, "train/clients.csv: 3 rows", "export", "--split", "train", "-o", "csv")
	if got := x.read("train/clients.csv"); got != "id,country,size\n1,DE,10\n2,FR,20\n3,DE,30\n" {
		t.Errorf("%q", got)
	}
	x.file("stemma.yaml", "train:\n- clients@main\nretrain: {clients: {rows: 3, drift: {mean: 0.5}}}\n")
	var report struct {
		Retrain bool
		Items   []struct{ Reasons []string }
	}
	x.file("one.lock", strings.Split(lock, "  - name: test")[0])
	r, err := x.data("retrain", "--json", "--lock", "one.lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.Detail, &report); err != nil {
		t.Fatal(err)
	}
	if !report.Retrain || len(report.Items) != 1 || len(report.Items[0].Reasons) != 2 || !strings.Contains(report.Items[0].Reasons[0], "id: mean drifted by") &&
		!strings.Contains(report.Items[0].Reasons[1], "size: mean drifted by") {
		t.Errorf("%s", r.Detail)
	}
	x.file("stemma.yaml", "train:\n- clients@main\nretrain: {clients: {rows: 3}}\n")
	x.dataSays(0, "Retrain: no.", "retrain", "--lock", "one.lock")

	// Upgrading takes the new rows; two locks can be compared.
	x.file("stemma.lock", x.read("one.lock"))
	x.dataSays(0, "upgraded  train: clients@main (4 rows, commit ", "lock", "--upgrade", "clients")
	x.dataSays(1, "train: clients@main: +1 -0 ~1 rows", "diff", "one.lock", "stemma.lock")
	x.dataSays(0, "", "diff", "one.lock", "one.lock")

	// The items, as they are now and as they are locked.
	x.dataSays(0, "train: clients@main (4 rows, commit ", "items", "--split", "train", "--frozen")
	x.dataSays(0, "train: clients@main (3 rows, commit ", "items", "--lock", "one.lock", "--frozen")
	if _, err := x.data("items", "--split", "trian"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "stemma.yaml has no split trian; it has train") {
		t.Error(err)
	}

	// What has been tampered with or is gone is told.
	x.file("bad.lock", strings.ReplaceAll(x.read("one.lock"), "rows: 3", "rows: 2"))
	x.dataSays(5, "3 rows, locked 2", "verify", "--lock", "bad.lock")
	x.file("gone.lock", replaceAfter(x.read("one.lock"), "commit: ", strings.Repeat("0", 52)))
	x.dataSays(3, "missing", "verify", "--lock", "gone.lock")
	for _, c := range []struct{ yaml, want string }{
		{"train: [clients@nowhere]", "clients@nowhere: "},
		{"train: [client@main]", "table not found: client; did you mean 'clients'?"},
		{"train: [other:clients@main]", "open database other"},
		{"train: [{table: clients, ref: main, columns: [siz]}]", "the table has no column siz; did you mean 'size'?"},
	} {
		x.file("stemma.yaml", c.yaml)
		if _, err := x.data("lock"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.yaml, err)
		}
	}
}

// replaceAfter replaces the word behind the first mark.
func replaceAfter(s, mark, with string) string {
	before, rest, _ := strings.Cut(s, mark)
	_, after, _ := strings.Cut(rest, "\n")
	return before + mark + with + "\n" + after
}

// Keys that splits share are told and noted, by the key's columns.
func TestDataSharedKeys(t *testing.T) {
	x := newTables(t)
	x.file("a.csv", "id,v\n1,a\n2,b\n3,c\n")
	x.file("b.csv", "ID,w\n3,x\n4,y\n")
	x.file("c.csv", "code,w\n3,x\n")
	x.file("d.csv", "v\n1\n")
	x.must("table", "import", "--pk", "id", "a.csv")
	x.must("table", "import", "--pk", "ID", "b.csv")
	x.must("table", "import", "--pk", "code", "c.csv")
	x.must("table", "import", "d.csv")
	x.must("table", "import", "-c", "e", "d.csv")
	x.must("commit", "-A", "-m", "tables")
	for _, c := range []struct{ train, test, want string }{
		{"a@main", "b@main", "train and test share keys: 1 of a@main are in b@main as well"},
		{"a@main", "c@main", ""},
		{"b@main, a@main", "a@HEAD", "train and test share keys: 1 of b@main are in a@HEAD as well; train and test share keys: 3 of a@main are in a@HEAD as well"},
		{"d@main", "e@main", "train and test share keys: 1 of d@main are in e@main as well"},
		{"d@main", "a@main", ""},
	} {
		x.file("stemma.yaml", "train: ["+c.train+"]\ntest: ["+c.test+"]\n")
		r, err := x.data("lock", "--upgrade-all")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.Hints, "; "); got != c.want {
			t.Errorf("%s and %s: %q, want %q", c.train, c.test, got, c.want)
		}
		if noted := strings.Contains(x.read("stemma.lock"), "shared_keys:"); noted != (c.want != "") {
			t.Errorf("%s and %s: noted: %v", c.train, c.test, noted)
		}
		if r, err = x.data("items", "--shared-keys"); err != nil || strings.Join(r.Hints, "; ") != c.want {
			t.Errorf("%s and %s: %v, %v", c.train, c.test, r.Hints, err)
		}
		if r, err = x.data("lock", "--check"); err != nil || r.ExitCode != 0 || strings.Join(r.Hints, "; ") != c.want {
			t.Errorf("%s and %s: %v, %v", c.train, c.test, r, err)
		}
	}
}

// TestDataExportIsRead records what an export reads for a run, of other databases, too.
func TestDataExportIsRead(t *testing.T) {
	x := newTables(t)
	x.file("clients.csv", "id,country\n1,DE\n2,FR\n")
	x.must("table", "import", "--pk", "id", "clients.csv")
	x.must("commit", "-A", "-m", "clients")
	sig := history.Signature{Name: "Ada", Email: "ada@example.org", Time: x.s.Clock.Now()}
	if err := repo.Init(t.Context(), x.s.FS, "/other", repo.InitOptions{Author: sig, Committer: sig}); err != nil {
		t.Fatal(err)
	}
	other, err := repo.Open(t.Context(), x.s.FS, "/other", repo.Options{Clock: x.s.Clock})
	if err != nil {
		t.Fatal(err)
	}
	y := &tables{t: t}
	y.s = &Scope{Dir: "/db", FS: x.s.FS, Repo: other, Clock: x.s.Clock, Author: x.s.Author, Out: &y.out}
	y.must("table", "import", "--pk", "id", "clients.csv")
	y.must("commit", "-A", "-m", "clients")
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.file("stemma.yaml", "train:\n- {table: clients, ref: main, columns: [id]}\ntest:\n- other:clients@main\n")
	x.data("lock")
	x.by = "11111111-0000-4000-8000-000000000001"
	for _, split := range []string{"train", "test"} {
		x.dataSays(0, "2 rows", "export", "--split", split, "-o", "csv")
	}
	if err := x.s.Repo.FlushReads(t.Context()); err != nil {
		t.Fatal(err)
	}
	ins, err := x.s.Repo.Lineage().InputsOf(t.Context(), x.by)
	if err != nil || len(ins) != 2 {
		t.Fatalf("%+v, %v", ins, err)
	}
	for i, want := range []struct{ db, columns string }{{"db", `["id"]`}, {"other", ""}} {
		in := ins[i]
		if in.DB != want.db || in.Table != "clients" || in.Ref != "main" || in.Commit == "" || in.Hash == "" || in.Columns != want.columns || *in.Rows != 2 {
			t.Errorf("%+v", in)
		}
	}
}
