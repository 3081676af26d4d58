package systab_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/repo"
)

// What lists and suggests names of system tables knows those that there are.
func TestNames(t *testing.T) {
	tables := systab.Tables()
	names, perTable := repo.ComputedTables()
	if want := slices.Sorted(maps.Keys(tables.Exact)); !slices.Equal(names, want) {
		t.Errorf("repo.ComputedTables names %q, and there are %q", names, want)
	}
	if want := slices.Sorted(maps.Keys(tables.Prefix)); !slices.Equal(perTable, want) {
		t.Errorf("repo.ComputedTables begins the names of tables' tables with %q, and there are %q", perTable, want)
	}
}
