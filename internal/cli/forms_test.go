package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/op"
)

// form is a verb with arguments, as the command line and SQL have it.
type form struct {
	before []string // command lines that make what the verb works on, without the program's name
	args   []string
	status int    // that the command line exits with; SQL fails when it is not 0
	only   string // why the verb has no form in SQL, or works on something else there; "" when all forms do the same
}

// runID is the id of a run.
const runID = "2d0f4c1e-8a57-4e5b-9c11-6a2f0b9d7e31"

// forms are an example of every verb.
var forms = map[string]form{
	"init":                    {only: "it makes the database that a session needs"},
	"config":                  {only: "the settings are those of the directory and of the user"},
	"version":                 {only: "the function dolt_version() says it"},
	"merge-base":              {only: "the function dolt_merge_base() finds it"},
	"conflicts cat":           {only: "the tables dolt_conflicts_<table> show them"},
	"undrop":                  {only: "it is for the databases of a server"},
	"purge-dropped-databases": {only: "it is for the databases of a server"},
	"read-tables":             {only: "it makes another database"},
	"backup":                  {only: "it writes to another directory each time"},
	"backup restore":          {only: "it makes another database each time"},
	"backup log":              {only: "it needs no database"},
	"backup forget":           {only: "it needs no database"},
	"ingest":                  {only: "it pulls from another database"},
	"data lock":               {only: "it reads and writes files beside the database"},
	"data items":              {only: "it reads files beside the database"},
	"data verify":             {only: "it reads files beside the database"},
	"data status":             {only: "it reads files beside the database"},
	"data retrain":            {only: "it reads files beside the database"},
	"data export":             {only: "it reads and writes files beside the database"},
	"data diff":               {only: "it reads files beside the database"},

	"status":             {},
	"add":                {before: []string{"sql -q 'insert into t values (7,7)'"}, args: []string{"t"}},
	"commit":             {before: []string{"sql -q 'insert into t values (7,7)'"}, args: []string{"-am", "seven's"}},
	"rm":                 {args: []string{"--cached", "t"}},
	"clean":              {before: []string{"sql -q 'create table stray (i int)'"}},
	"reset":              {before: []string{"sql -q 'insert into t values (7,7)'"}, args: []string{"--hard", "HEAD~1"}},
	"stash":              {before: []string{"sql -q 'insert into t values (7,7)'"}, args: []string{"push", "mine"}},
	"log":                {args: []string{"-n", "2", "--oneline"}},
	"diff":               {args: []string{"HEAD~1", "HEAD", "--stat"}},
	"show":               {args: []string{"HEAD~1", "--stat"}},
	"blame":              {args: []string{"t"}},
	"reflog":             {args: []string{"main"}},
	"count-commits":      {args: []string{"--from", "main", "--to", "side"}},
	"ls":                 {args: []string{"HEAD"}},
	"docs print":         {before: []string{"sql -q \"insert into dolt_docs values ('README.md', 'hello')\""}, args: []string{"README.md"}},
	"docs upload":        {args: []string{"README.md", "note.md"}},
	"docs diff":          {before: []string{"sql -q \"insert into dolt_docs values ('README.md', 'hello')\""}, args: []string{"README.md"}},
	"branch":             {args: []string{"new", "HEAD~1"}},
	"checkout":           {args: []string{"-b", "new"}, only: "a session has a branch of its own: see TestCheckoutForms"},
	"merge":              {args: []string{"side", "-m", "joined"}},
	"cherry-pick":        {args: []string{"side"}},
	"revert":             {args: []string{"HEAD"}},
	"conflicts resolve":  {before: []string{"merge clash"}, args: []string{"--theirs", "t"}},
	"constraints verify": {args: []string{"--all"}},
	"rebase":             {before: []string{"checkout side"}, args: []string{"main"}},
	"squash-history":     {args: []string{"-m", "one"}},
	"filter-branch":      {args: []string{"-q", "delete from t where id = 1"}},
	"tag":                {args: []string{"-m", "why", "v1", "HEAD~1"}},
	"clone":              {only: "it makes a database in another directory"},
	"ls-remote":          {before: []string{"remote add origin ../rem", "push origin main side"}, args: []string{"origin"}},
	"remote":             {args: []string{"add", "origin", "file:///nowhere"}},
	"push":               {before: []string{"remote add origin ../rem"}, args: []string{"-u", "origin", "main"}},
	"fetch":              {before: []string{"remote add origin ../rem", "push origin main side", "remote remove origin", "remote add origin ../rem"}, args: []string{"origin"}},
	"pull":               {before: []string{"remote add origin ../rem", "push -u origin main", "reset --hard HEAD~1"}},
	"fsck":               {},
	"gc":                 {args: []string{"--full"}, only: "its sizes depend on what the session has written besides"},
	"erase":              {args: []string{"t", "--where", "true"}},
	"retention":          {before: []string{"commit --allow-empty -m more", "commit --allow-empty -m last", "retention set main 'tags forever'"}, args: []string{"apply"}},
	"du":                 {only: "its sizes depend on what the session has written besides"},
	"table import":       {args: []string{"-c", "--pk", "id", "new", "rows.csv"}},
	"table export":       {args: []string{"-f", "t", "out.csv"}},
	"table cp":           {args: []string{"t", "copy"}},
	"table mv":           {args: []string{"t", "moved"}},
	"table rm":           {args: []string{"t"}},
	"schema show":        {args: []string{"t"}},
	"schema import":      {args: []string{"-c", "--pks", "id", "new", "rows.csv"}},
	"schema export":      {args: []string{"t"}},
	"run start":          {args: []string{"--system", "make", "--external-id", "7", runID}},
	"run end":            {before: []string{"run start " + runID}, args: []string{"--state", "FAIL", "--error", "it's late", runID}},
	"run list":           {before: []string{"run start " + runID}},
	"run show":           {before: []string{"run start " + runID}, args: []string{runID}},
	"run record":         {before: []string{"run start " + runID}, args: []string{"--inputs", `[{"table": "t", "ref": "HEAD~1"}]`, runID}},
	"run of":             {args: []string{"t", "HEAD~1"}},
	"lineage":            {args: []string{"--depth", "2", "t"}},
	"lineage impact":     {args: []string{"t@HEAD~1"}},
	"lineage why":        {args: []string{"--key", "id=1", "t@HEAD~1"}},
	"lineage import":     {only: "it reads a file beside the database, and changes nothing when it is read again"},
	"lineage export":     {before: []string{"run start " + runID}, args: []string{"--openlineage", "events.csv"}, only: "events hold the times at which runs began"},
	"dump":               {args: []string{"-f", "-r", "csv"}},
}

// state is what the verbs change, so that it can be compared: times, which hashes of commits depend on, are not in it.
var state = []string{
	"select b.name, latest_commit_message, latest_author, dirty, dolt_hashof_db(b.name) h from dolt_branches b order by 1",
	"select dolt_hashof_db('WORKING') w, dolt_hashof_db('STAGED') s",
	"select * from dolt_status order by 1, 2",
	"select tag_name, message, tagger from dolt_tags",
	"select name, stash_id, branch, commit_message from dolt_stashes",
	"select message, l.parents is null p from dolt_log l",
	"select run_uid, `system`, external_id, state, error from stemma_runs",
	"select run_uid, table_name, ref_asked, table_hash from stemma_run_inputs",
	"select run_uid, table_name, after_hash from stemma_run_outputs",
	"select name from dolt_remotes", "select name, latest_commit_message from dolt_remote_branches", "select name, remote, branch from dolt_branches",
	"select * from dolt_conflicts", "select is_merging, source, target from dolt_merge_status",
}

// TestForms runs each verb as a command, by CALL and by SELECT, as the first versions of Dolt had it: all leave the same behind and succeed
// or fail together.
func TestForms(t *testing.T) {
	home := t.TempDir()
	stemma := func(dir string, args ...string) (string, error) {
		cmd := exec.Command("stemma", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "STEMMA_HOME="+home, "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=a@x", "TZ=UTC")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(dir string, args ...string) string {
		t.Helper()
		out, err := stemma(dir, args...)
		if err != nil {
			t.Fatalf("stemma %q: %v\n%s", args, err, out)
		}
		return out
	}
	base := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	must(base, "init")
	must(base, "sql", "-q", `create table t (id int primary key, v int); insert into t values (1,1),(2,2);
		call dolt_commit('-Am', 'one', '--date', '2024-01-01'); call dolt_branch('side'); call dolt_branch('clash');
		call dolt_checkout('side'); insert into t values (3,3); call dolt_commit('-am', 'side', '--date', '2024-01-02');
		call dolt_checkout('clash'); update t set v = 10 where id = 1; call dolt_commit('-am', 'clash', '--date', '2024-01-03');
		call dolt_checkout('main'); update t set v = 20 where id = 1; call dolt_commit('-am', 'two', '--date', '2024-01-04')`)
	for name, text := range map[string]string{"note.md": "a note\n", "rows.csv": "id,name\n1,x\n2,y\n", "README.md": "hello, all\n"} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, spec := range op.All() {
		if spec.New == nil {
			continue
		}
		f, ok := forms[spec.Name]
		seen[spec.Name] = true
		if !ok {
			t.Errorf("%s: there is no example of its forms", spec.Name)
			continue
		}
		proc, has := spec.Procedure()
		if f.only != "" {
			continue
		}
		if !has {
			t.Errorf("%s: it has no procedure, and nothing says why", spec.Name)
			continue
		}
		t.Run(spec.Name, func(t *testing.T) {
			quoted := make([]string, len(f.args))
			for i, a := range f.args {
				quoted[i] = "'" + strings.ReplaceAll(a, "'", "''") + "'"
			}
			list := strings.Join(quoted, ", ")
			ways := [][]string{
				append(spec.Words(), f.args...),
				{"sql", "-q", "set @@dolt_allow_commit_conflicts = 1; call dolt_" + proc + "(" + list + ")"},
				{"sql", "-q", "set @@dolt_allow_commit_conflicts = 1; select dolt_" + proc + "(" + list + ")"},
			}
			var first string
			t.Parallel()
			for i, way := range ways {
				dir := filepath.Join(t.TempDir(), "db")
				if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
					t.Fatal(err)
				}
				for _, line := range f.before {
					cmd := exec.Command("bash", "-c", "stemma "+line)
					cmd.Dir, cmd.Env = dir, append(os.Environ(), "STEMMA_HOME="+home, "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=a@x")
					if out, err := cmd.CombinedOutput(); err != nil && !strings.HasPrefix(line, "merge") {
						t.Fatalf("%s: %v\n%s", line, err, out)
					}
				}
				out, err := stemma(dir, way...)
				if (err != nil) != (f.status != 0) {
					t.Fatalf("%q: %v\n%s", way, err, out)
				}
				var left bytes.Buffer
				got, err := stemma(dir, "sql", "-r", "csv", "-q", strings.Join(state, "; "))
				if err != nil {
					t.Fatalf("%v\n%s", err, got)
				}
				left.WriteString(got)
				files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
				if err != nil {
					t.Fatal(err)
				}
				more, err := filepath.Glob(filepath.Join(dir, "*dump", "*"))
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range append(files, more...) {
					data, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					left.WriteString(filepath.Base(name) + ":\n" + string(data))
				}
				if i == 0 {
					first = left.String()
				} else if left.String() != first {
					t.Errorf("%q leaves\n%s\nas a command it leaves\n%s", way[2], left.String(), first)
				}
			}
		})
	}
	for name := range forms {
		if !seen[name] {
			t.Errorf("%s: there is no such verb", name)
		}
	}
}

// TestCheckoutForms: a command checks a branch out in the directory, SQL moves the session.
func TestCheckoutForms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stemma(t, dir, "init")
	for i, verb := range []string{"call dolt_checkout", "select dolt_checkout", "call stemma_checkout"} {
		branch := "b" + string(rune('0'+i))
		out := stemma(t, dir, "sql", "-r", "csv", "-q", verb+"('-b', '"+branch+"'); select active_branch() as a")
		if !strings.Contains(out, "a\n"+branch+"\n") {
			t.Errorf("%s: %s", verb, out)
		}
		if out := stemma(t, dir, "branch", "--show-current"); out != "main\n" {
			t.Errorf("%s moved the directory to %s", verb, out)
		}
	}
	if out := stemma(t, dir, "checkout", "b1"); out != "Switched to branch 'b1'\n" {
		t.Error(out)
	}
	if out := stemma(t, dir, "sql", "-r", "csv", "-q", "select active_branch() as a"); out != "a\nb1\n" {
		t.Error(out)
	}
}
