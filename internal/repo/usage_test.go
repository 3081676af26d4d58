package repo_test

import (
	"testing"

	"github.com/stemmadb/stemma/internal/repo"
)

// TestUsage counts what tables, branches, older commits and garbage take, and that all of it adds up before and after a collection.
func TestUsage(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	fill(t, r, "main", "first", 0, 2000)
	must(t, r.CreateBranch(t.Context(), "same", head(t, r, "main"), false))
	must(t, r.CreateBranch(t.Context(), "b", head(t, r, "main"), false))
	fill(t, r, "b", "other", 50_000, 2000)
	fill(t, r, "main", "", 90_000, 2000) // garbage soon
	fill(t, r, "main", "second", 10_000, 2000)
	tx := begin(t, r)
	tab, err := tx.FoldTable(t.Context(), "people")
	must(t, err)
	must(t, tx.PutTable(t.Context(), "copy", tab))
	must(t, tx.Commit(t.Context()))
	must(t, r.Checkpoint(t.Context()))
	must(t, r.Store().Folded(t.Context()))
	check := func() *repo.Usage {
		t.Helper()
		u, err := r.Usage(t.Context(), "main", nil)
		must(t, err)
		if sum := u.Current + u.History + u.Kept + u.Garbage + u.Other; sum != u.Total {
			t.Errorf("%d bytes in parts, %d in all: %+v", sum, u.Total, u)
		}
		return u
	}
	u := check()
	one := u.Tables[1].Bytes
	if len(u.Tables) != 2 || u.Tables[0].Bytes != one || u.Tables[0].Own != 0 {
		t.Errorf("tables %+v", u.Tables)
	}
	if len(u.Branches) != 3 || u.Branches[0].Name != "b" || u.Branches[0].Own < one/2 || u.Branches[0].Own > u.Branches[0].Bytes*2/3 || u.Branches[2].Own > one/20 {
		t.Errorf("branches %+v, of which a table takes %d", u.Branches, one)
	}
	if u.Garbage < one/2 || u.Garbage > 2*one || u.Current < 2*one || u.Current > 4*one {
		t.Errorf("%+v, of which a table takes %d", u, one)
	}
	_, err = r.Collect(t.Context(), everything())
	must(t, err)
	if u := check(); u.Garbage > one/10 || u.Tables[1].Bytes != one {
		t.Errorf("after a collection %+v, of which a table takes %d", u, one)
	}
}
