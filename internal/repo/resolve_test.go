package repo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// TestAmbiguousPrefix makes two commits whose hashes begin with the same seven characters.
func TestAmbiguousPrefix(t *testing.T) {
	ctx := t.Context()
	r, _ := newRepo(t)
	head, ok := r.BranchHead("main")
	if !ok {
		t.Fatal("no branch main")
	}
	made := func(n int) *history.Commit {
		return &history.Commit{Parents: []history.CommitID{head}, Height: 2, Author: signature(), Committer: signature(), Message: fmt.Sprint(n)}
	}
	seen := map[string]int{}
	var twins [2]*history.Commit
	for n := range 4_000_000 { // 35 bits: about 200,000 are needed
		p := hash.Sum(made(n).Encode()).String()[:hash.MinPrefixLen]
		if m, ok := seen[p]; ok {
			twins = [2]*history.Commit{made(m), made(n)}
			break
		}
		seen[p] = n
	}
	if twins[0] == nil {
		t.Fatal("no two commits with a common prefix")
	}
	b := r.Store().NewBatch()
	for i, c := range twins {
		_, err := c.Put(ctx, b)
		must(t, err)
		if i == 0 {
			continue
		}
		_, err = r.Store().Append(ctx, b)
		must(t, err)
		must(t, b.Close())
	}
	for i, c := range twins {
		must(t, r.CreateBranch(ctx, fmt.Sprint("twin", i), c.ID, false))
	}
	short := twins[0].ID.String()[:hash.MinPrefixLen]
	before := fmt.Sprint(r.Branches())
	_, err := r.Resolve(ctx, short, "main")
	names := []string{twins[0].ID.String(), twins[1].ID.String()}
	slices.Sort(names)
	both := strings.Join(names, ", ")
	if !errs.Is(err, errs.Invalid) || err.Error() != "'"+short+"' is ambiguous: it begins the hashes of the commits "+both+"; give more characters" {
		t.Errorf("resolve %s: %v", short, err)
	}
	if _, err := r.Resolve(ctx, short+"~1", "main"); !errs.Is(err, errs.Invalid) {
		t.Errorf("resolve %s~1: %v", short, err)
	}
	for n := hash.MinPrefixLen; ; n++ {
		a, z := twins[0].ID.String()[:n], twins[1].ID.String()[:n]
		if a == z {
			continue
		}
		if id, err := r.Resolve(ctx, a, "main"); err != nil || id != twins[0].ID {
			t.Errorf("resolve %s: %v, %v", a, id, err)
		}
		break
	}
	_, err = r.Resolve(ctx, short[:5], "main")
	if !errs.Is(err, errs.NotFound) || err.Error() != "branch or ref not found: "+short[:5]+"; to name one of the commits "+both+" give at least 7 characters of its hash" {
		t.Errorf("resolve %s: %v", short[:5], err)
	}
	// A branch of that name goes before.
	must(t, r.CreateBranch(ctx, short, head, false))
	if id, err := r.Resolve(ctx, short, "main"); err != nil || id != head {
		t.Errorf("a branch called %s: %v, %v", short, id, err)
	}
	must(t, r.DeleteBranch(ctx, short, "", true))
	if after := fmt.Sprint(r.Branches()); after != before {
		t.Errorf("branches %s, want %s", after, before)
	}
	must(t, r.Close(ctx))
}
