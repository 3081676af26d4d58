package cli

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// way is how a verb is said.
type way struct {
	name string
	dir  string
	// say is the arguments of the program that say a verb with its arguments on a branch.
	say func(branch string, verb []string) []string
}

// quotedArgs is arguments as SQL has them.
func quotedArgs(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = "'" + strings.ReplaceAll(a, "'", "''") + "'"
	}
	return strings.Join(out, ", ")
}

// inSQL says a verb by a statement that begins with word.
func inSQL(word string) func(branch string, verb []string) []string {
	return func(branch string, verb []string) []string {
		name := strings.NewReplacer("-", "_", " ", "_").Replace(verb[0])
		return []string{"sql", "-q", "set @@dolt_allow_commit_conflicts = 1; call dolt_checkout('" + branch + "'); " + word + " dolt_" + name + "(" + quotedArgs(verb[1:]) + ")"}
	}
}

// run runs the program in the way's directory at a moment.
func (f *way) run(t *testing.T, at time.Time, args ...string) (status int, out string) {
	t.Helper()
	var b bytes.Buffer
	p := &Program{
		Args: append([]string{"stemma"}, args...), In: strings.NewReader(""), Out: &b, Err: &b, Dir: f.dir, Clock: clock.Fixed{T: at}, Version: "1.2.3", Specs: op.All(),
		Env: func(name string) string {
			return map[string]string{"STEMMA_HOME": filepath.Join(f.dir, "..", "home"), "STEMMA_AUTHOR_NAME": "Ada", "STEMMA_AUTHOR_EMAIL": "a@x"}[name]
		},
	}
	return p.Run(t.Context()), b.String()
}

// state is what the database holds: heads, staged and working sets, what is in progress.
func (f *way) state(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	r, err := repo.Open(ctx, vfs.OS{}, f.dir, repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(ctx)
	var b strings.Builder
	for _, x := range r.Branches() {
		w, err := r.Fold(ctx, x.Name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Merging(ctx, x.Name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s at %s, staged %s, working %s", x.Name, x.Head, w.Staged.Hash(), w.Working.Hash())
		if m != nil {
			fmt.Fprintf(&b, ", %s of %s, left %v", m.Kind, m.Theirs, m.Unsettled())
		}
		b.WriteString("\n")
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tags {
		fmt.Fprintf(&b, "tag %s at %s\n", x.Name, x.Commit)
	}
	return b.String()
}

// TestForms plays one random program on the command line, by CALL and by the old way SELECT: all three succeed and fail alike, and
// make the same hashes.
func TestProgramForms(t *testing.T) {
	seeds, steps := 2, 60
	if os.Getenv("STEMMA_LONG") != "" {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 21))
			at := time.Date(2022, 3, 4, 5, 6, 0, 0, time.UTC)
			forms := []*way{
				{name: "command line", say: func(_ string, verb []string) []string { return append(strings.Fields(verb[0]), verb[1:]...) }},
				{name: "CALL", say: inSQL("call")}, {name: "SELECT", say: inSQL("select")},
			}
			dir := t.TempDir()
			for i, f := range forms {
				f.dir = filepath.Join(dir, fmt.Sprint(i), "db")
				if err := os.MkdirAll(f.dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var log []string
			// all runs the program in each way; say gives its arguments.
			all := func(say func(f *way) []string) bool {
				t.Helper()
				at = at.Add(time.Minute)
				var wentFirst bool
				var outFirst string
				for i, f := range forms {
					args := say(f)
					status, out := f.run(t, at, args...)
					// Conflicts are an exit status of the command line, and an answer of SQL.
					went := status == 0 || status == 4 && strings.Contains(out, "CONFLICT")
					if i == 0 {
						log = append(log, strings.Join(args, " "))
						wentFirst, outFirst = went, out
					} else if went != wentFirst {
						t.Fatalf("%s gives %d:\n%sthe command line\n%safter\n%s", f.name, status, out, outFirst, strings.Join(log, "\n"))
					}
				}
				want := forms[0].state(t)
				for _, f := range forms[1:] {
					if got := f.state(t); got != want {
						t.Fatalf("%s makes\n%sthe command line\n%safter\n%s", f.name, got, want, strings.Join(log, "\n"))
					}
				}
				return wentFirst
			}
			branch, branches := "main", []string{"main"}
			verb := func(words ...string) bool {
				t.Helper()
				return all(func(f *way) []string { return f.say(branch, words) })
			}
			edit := func(query string) {
				t.Helper()
				all(func(*way) []string { return []string{"sql", "-q", "call dolt_checkout('" + branch + "'); " + query} })
			}
			switchTo := func(name string) {
				t.Helper()
				branch = name
				if status, out := forms[0].run(t, at, "checkout", name); status != 0 {
					t.Fatal(out)
				}
			}
			some := func() string { return branches[rng.IntN(len(branches))] }
			for _, f := range forms {
				if status, out := f.run(t, at, "init"); status != 0 {
					t.Fatal(out)
				}
			}
			edit("create table t (id int primary key, v int default 1, w int); insert into t values (1,1,1),(2,2,2),(3,3,3)")
			verb("add", "-A")
			verb("commit", "-m", "base")
			message := 0
			worked := map[string]int{}
			for range steps {
				message++
				text := fmt.Sprintf("it's %d", message)
				id := rng.IntN(6)
				var words []string
				switch rng.IntN(14) {
				case 0, 1, 2:
					edit([]string{
						fmt.Sprintf("replace into t (id, v, w) values (%d, %d, %d)", id, rng.IntN(3), rng.IntN(3)), fmt.Sprintf("delete from t where id = %d", id),
						fmt.Sprintf("create table if not exists n%d (id int primary key)", rng.IntN(2)), fmt.Sprintf("update t set w = %d where id = %d", rng.IntN(9), id),
					}[rng.IntN(4)])
					words = []string{"commit", "-Am", text} // with -a the oldest form stages new tables, as in 2021
				case 3:
					name := fmt.Sprintf("b%d", rng.IntN(3))
					if verb("branch", name, some()) && !slices.Contains(branches, name) {
						branches = append(branches, name)
					}
					continue
				case 4, 5:
					switchTo(some())
					continue
				case 6, 7:
					words = append([]string{"merge", some(), "-m", text}, [...][]string{nil, {"--no-ff"}, {"--squash"}, {"--no-commit"}}[rng.IntN(4)]...)
				case 8:
					words = []string{"cherry-pick", some()}
				case 9:
					words = []string{"revert", fmt.Sprintf("HEAD~%d", rng.IntN(3))}
				case 10:
					words = []string{"reset", [...]string{"--hard", "--soft"}[rng.IntN(2)], fmt.Sprintf("HEAD~%d", rng.IntN(2))}
				case 11:
					words = []string{"tag", fmt.Sprintf("v%d", rng.IntN(4)), "HEAD", "-m", text}
				case 12:
					words = []string{"rebase", some()}
				case 13:
					words = [...][]string{{"squash-history", "-m", text, "--first", "HEAD~1"}, {"commit", "--amend", "-m", text}, {"commit", "--allow-empty", "-m", text}}[rng.IntN(3)]
				}
				if verb(words...) {
					worked[words[0]]++
				}
				state := forms[0].state(t)
				switch {
				case strings.Contains(state, "dolt_rebase_"):
					was := branch
					branch = "dolt_rebase_" + was
					verb("rebase", "--abort")
					branch = was
				case strings.Contains(state, "left ["):
					for _, kind := range []string{"merge", "cherry-pick", "revert"} {
						if strings.Contains(state, ", "+kind+" of ") {
							if kind == "merge" && rng.IntN(2) == 0 {
								verb("conflicts resolve", "--theirs", ".")
								verb("commit", "-am", text+" resolved")
							} else {
								verb(kind, "--abort")
							}
						}
					}
				}
			}
			for _, v := range []string{"commit", "merge"} {
				if worked[v] == 0 {
					t.Errorf("no %s went well: the test does not test", v)
				}
			}
			t.Log(worked)
		})
	}
}
