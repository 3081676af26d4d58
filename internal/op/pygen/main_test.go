package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/op"
)

// The checked-in module is what the declarations give.
func TestCurrent(t *testing.T) {
	have, err := os.ReadFile("../../../python/src/stemma/_ops.py")
	if err != nil {
		t.Fatal(err)
	}
	if want := module(op.All()); string(have) != want {
		t.Error("python/src/stemma/_ops.py is not what the verbs declare: run make generate")
	}
}

// Every verb that is not hidden has a method.
func TestAllVerbs(t *testing.T) {
	text := module(op.All())
	for _, s := range op.All() {
		if s.New != nil && !s.Hidden && !strings.Contains(text, "    def "+identifier(s.Name)+"(\n") {
			t.Errorf("%s has no method", s.Name)
		}
	}
}

func TestIdentifier(t *testing.T) {
	for name, want := range map[string]string{"table import": "table_import", "cherry-pick": "cherry_pick", "from": "from_", "Table name": "table_name", "ALL": "ALL"} {
		if got := identifier(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
