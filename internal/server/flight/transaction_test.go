package flight

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stemmadb/stemma/internal/vfs"
)

// TestEndOverSeveralBranches cuts the power at every write and sync while a transaction over two branches ends. Whoever sends the end again
// finds nothing of it, or both branches with their commits.
func TestEndOverSeveralBranches(t *testing.T) {
	mem := vfs.NewMem()
	var mu sync.Mutex
	var cut []*vfs.Mem
	ending := false
	v := serveOn(t, vfs.WithHook(mem, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if ending && op.Kind != vfs.OpRead {
			cut = append(cut, mem.CrashClone(rand.New(rand.NewPCG(uint64(len(cut)), 1))))
		}
		return nil
	}), nil)
	conn := v.dial()
	c := sqlClient(conn)
	for _, q := range []string{"create table t (i int primary key)", "call dolt_commit('-Am', 'made')", "call dolt_branch('side')"} {
		v.query(c, q)
	}
	tx, err := c.BeginTransaction(t.Context())
	check(t, err)
	for _, q := range []string{"insert into t values (1)", "insert into `db/side`.t values (2)"} {
		_, err := tx.ExecuteUpdate(t.Context(), q)
		check(t, err)
	}
	id := string(tx.ID())
	end := fmt.Sprintf(`{"transaction":%q,"message":"both","write_id":"e1"}`, id)
	mu.Lock()
	ending = true
	mu.Unlock()
	first, err := act(conn, "stemma.end", end)
	check(t, err)
	mu.Lock()
	ending = false
	mu.Unlock()
	seen := map[string]int{}
	for n, fs := range append(cut, mem.CrashClone(rand.New(rand.NewPCG(0, 2)))) {
		v := serveOn(t, fs, nil)
		conn := v.dial()
		c := sqlClient(conn)
		again, err := act(conn, "stemma.end", end)
		rows, made := "0", "made"
		switch {
		case err == nil:
			rows, made = "1", "both"
			if again["already"] != true || again["commit"] == nil {
				t.Errorf("cut %d: answered %v", n, again)
			}
			if n == len(cut) && again["commit"] != first["commit"] {
				t.Errorf("answered %v, then %v", first, again)
			}
		case status.Code(err) != codes.NotFound:
			t.Fatalf("cut %d: %v", n, err)
		}
		seen[made]++
		for _, b := range []string{"main", "side"} {
			expect(t, v.query(c, "select count(*) from t as of '"+b+"'"), rows)
			expect(t, v.query(c, "select message from dolt_log('"+b+"') limit 1"), made)
			expect(t, v.query(c, "select count(*) from `db/"+b+"`.dolt_status"), "0")
		}
	}
	if seen["made"] == 0 || seen["both"] < 3 {
		t.Errorf("of %d cuts the end was found so: %v", len(cut), seen)
	}
}
