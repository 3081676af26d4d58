package torture

import (
	"strings"
	"testing"
)

// The checks must be able to fail.
func TestLedgerCatches(t *testing.T) {
	good := func() *seen {
		return &seen{lhs: map[string]int{"w-0": 1, "w-2": 3}, rhs: map[string]int{"w-0": 1, "w-2": 3}, counter: map[string]int{"w": 2}}
	}
	for _, c := range []struct {
		what string
		harm func(s *seen, l *ledger) (messages []string)
		want string // "" for no complaint
	}{
		{"nothing", func(*seen, *ledger) []string { return []string{"c"} }, ""},
		{"half a table", func(s *seen, _ *ledger) []string { s.lhs["w-2"] = 2; return []string{"c"} }, "w-2 has 2 rows in lhs and 3 in rhs, want 3"},
		{"one table", func(s *seen, _ *ledger) []string { delete(s.lhs, "w-2"); return []string{"c"} }, "w-2 has no rows in lhs"},
		{"twice", func(s *seen, _ *ledger) []string { s.rhs["w-2"] = 6; return []string{"c"} }, "6 in rhs"},
		{"counter", func(s *seen, _ *ledger) []string { s.counter["w"] = 3; return []string{"c"} }, "w has counted 3"},
		{"lost", func(_ *seen, l *ledger) []string { l.tx("w-3", acked); return []string{"c"} }, "w-3 was acknowledged and is lost"},
		{"back", func(_ *seen, l *ledger) []string { l.tx("w-2", refused); return []string{"c"} }, "w-2 was refused and is there"},
		{"open", func(_ *seen, l *ledger) []string { l.tx("w-3", unknown); return []string{"c"} }, ""},
		{"commit lost", func(*seen, *ledger) []string { return nil }, "commit c was acknowledged and is lost"},
		{"commit twice", func(*seen, *ledger) []string { return []string{"c", "c"} }, "commit c is there 2 times"},
		{"strange", func(*seen, *ledger) []string { return []string{"c", "d"} }, "commit d is there, and nobody made it"},
	} {
		l := newLedger()
		l.tx("w-0", acked)
		l.tx("w-2", unknown)
		l.commit("c", acked)
		s := good()
		got := strings.Join(l.settle(s, c.harm(s, l)), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	l := newLedger()
	l.tx("w-0", unknown)
	if l.settle(newSeen(), nil); l.txs["w-0"] != refused {
		t.Error("a transaction that is not there after a settlement may come back")
	}
}
