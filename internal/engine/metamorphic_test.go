package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/repo"
)

// TestMetamorphic plays the programs of TestHistoryModel in databases whose insides are disturbed between any two statements: what they hold
// in the end must have the same hashes.
func TestMetamorphic(t *testing.T) {
	seeds := 1
	if os.Getenv("STEMMA_LONG") != "" {
		seeds = 50
	}
	ways := []struct {
		name    string
		between func(t *testing.T, p *historyPlay, n int)
	}{
		{"as it is", nil},
		{"folded", func(t *testing.T, p *historyPlay, _ int) {
			if _, err := p.c.w.repo().Fold(t.Context(), p.on); err != nil {
				t.Fatal(err)
			}
		}},
		{"opened anew", func(t *testing.T, p *historyPlay, n int) {
			if n%7 == 0 {
				p.c.w.reopenVersioned(p, repo.Options{})
			}
		}},
		{"opened anew with a small cache", func(t *testing.T, p *historyPlay, n int) {
			if n%40 == 1 {
				p.c.w.reopenVersioned(p, repo.Options{CacheBytes: 1 << 14})
			}
		}},
		{"beside transactions that are rolled back", func(t *testing.T, p *historyPlay, n int) {
			other := p.c.w.client()
			names, err := other.query("show tables")
			if err != nil {
				t.Fatal(err)
			}
			other.exec("start transaction")
			for name := range strings.FieldsSeq(names) {
				other.exec(fmt.Sprintf("delete from %s where id %% 2 = %d", name, n%2))
			}
			other.exec("rollback")
		}},
		{"read by another", func(t *testing.T, p *historyPlay, n int) {
			p.c.w.client().exec("select * from dolt_log", "select * from dolt_diff", "select * from dolt_status", "select * from dolt_branches")
		}},
	}
	for seed := range seeds {
		want := ""
		for _, way := range ways {
			p := newHistoryPlay(t, seed, map[string]int{})
			n := 0
			if way.between != nil {
				p.between = func() {
					if n++; n%3 == 0 { // some of the times: a program has thousands of statements
						way.between(t, p, n/3)
					}
				}
			}
			p.program()
			p.between = nil
			got := p.must("select name, dolt_hashof_db(name), (select count(*) from dolt_log) from dolt_branches order by name")
			for name := range p.heads {
				got += "\n" + name + " " + p.must("select count(*), max(commit_order) from dolt_log('"+name+"')")
			}
			if want == "" {
				want = sorted(got)
			} else if sorted(got) != want {
				t.Errorf("seed %d, %s: the branches are\n%s\nwant\n%s", seed, way.name, sorted(got), want)
			}
		}
	}
}

// sorted is text with its lines in order.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// reopenVersioned closes the databases and opens them again, for the session of a program to go on.
func (w *world) reopenVersioned(p *historyPlay, opt repo.Options) {
	w.t.Helper()
	if err := w.eng.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.openVersioned(opt)
	p.c = w.client()
	p.c.exec("call dolt_checkout('" + p.on + "')")
}
