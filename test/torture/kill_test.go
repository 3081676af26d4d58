package torture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// TestKill kills a server at any moment, while clients write rows and make commits, and looks after each restart whether all that
// was acknowledged is there exactly once.
func TestKill(t *testing.T) {
	kills := or(200, 5)
	s := newSite(t)
	port := freePort(t)
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	l := newLedger()
	srv := s.serve(t, port)
	srv.ready(t)
	if _, err := srv.db.ExecContext(t.Context(), ledgerTables); err != nil {
		t.Fatal(err)
	}
	workers := []*worker{{name: "a"}, {name: "b"}, {name: "c", pad: or(20<<10, 2<<10)}, {name: "v"}}
	for _, w := range workers {
		if _, err := srv.db.ExecContext(t.Context(), "insert into counter values (?, 0)", w.name); err != nil {
			t.Fatal(err)
		}
	}
	var ending atomic.Bool
	for n := 1; n <= kills; n++ {
		ending.Store(false)
		var wait sync.WaitGroup
		for i, w := range workers {
			do := w.write
			if i == len(workers)-1 {
				do = w.version
			}
			wait.Go(func() {
				var err error
				for err == nil {
					err = do(t.Context(), srv.db, l)
				}
				var e *mysql.MySQLError
				if errors.As(err, &e) && !ending.Load() {
					t.Errorf("worker %s: %v", w.name, err)
				}
			})
		}
		time.Sleep(time.Duration(20+rng.IntN(or(400, 200))) * time.Millisecond)
		if ending.Store(rng.IntN(3) == 0); ending.Load() { // die while ending in order
			srv.cmd.Process.Signal(os.Interrupt)
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		}
		s.kill(srv.cmd.Process.Pid)
		wait.Wait()
		srv.kill(t)
		if n%20 == 0 || n == kills {
			s.fsck(t)
		}
		for rng.IntN(4) == 0 { // die while recovering
			srv = s.serve(t, port)
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
			srv.kill(t)
		}
		srv = s.serve(t, port)
		srv.ready(t)
		now, messages := look(t, srv.db, "")
		complaints := l.settle(now, messages)
		head, _ := look(t, srv.db, " as of 'HEAD'")
		for _, c := range head.torn() {
			complaints = append(complaints, "at HEAD: "+c)
		}
		if len(complaints) > 0 {
			t.Fatalf("after kill %d: %d complaints\n%s", n, len(complaints), some(complaints))
		}
		if t.Failed() {
			return
		}
	}
	srv.stop(t)
	s.fsck(t)
	done := len(l.acknowledged())
	t.Logf("%d kills, %d transactions, %d commits", kills, done, len(l.commits))
	if done < kills || len(l.commits) < kills/2 {
		t.Error("too little was done: the test does not test")
	}
}

// some is the first complaints.
func some(complaints []string) string {
	const most = 20
	if len(complaints) > most {
		complaints = append(complaints[:most:most], "…")
	}
	return strings.Join(complaints, "\n")
}

// worker does one thing after the other.
type worker struct {
	name string
	pad  int // bytes in each row
	k    int // number of the next transaction or commit
}

// write does one transaction.
func (w *worker) write(ctx context.Context, db *sql.DB, l *ledger) error {
	name := txName(w.name, w.k)
	steps := txStatements(w.name, w.k, w.pad)
	w.k++
	if w.k%3 == 0 { // all at once
		l.tx(name, unknown)
		_, err := db.ExecContext(ctx, "start transaction; "+strings.Join(steps, "; ")+"; commit")
		return told(err, func(f fate) { l.tx(name, f) })
	}
	l.tx(name, refused) // until its end has been sent
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, q := range steps {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	l.tx(name, unknown)
	return told(tx.Commit(), func(f fate) { l.tx(name, f) })
}

// version makes one commit.
func (w *worker) version(ctx context.Context, db *sql.DB, l *ledger) error {
	message := fmt.Sprintf("commit %d", w.k)
	w.k++
	l.commit(message, unknown)
	var hash string
	err := db.QueryRowContext(ctx, "call dolt_commit('-Am', ?)", message).Scan(&hash)
	err = told(err, func(f fate) { l.commit(message, f) })
	if err != nil && strings.Contains(err.Error(), "nothing to commit") {
		time.Sleep(time.Millisecond)
		return nil
	}
	return err
}

// told takes note of an answer, if there was one.
func told(err error, note func(fate)) error {
	var e *mysql.MySQLError
	if err == nil {
		note(acked)
	} else if errors.As(err, &e) {
		note(refused)
	}
	return err
}

// look reads a ledger's tables, and the messages of the commits, in one transaction. asOf follows the tables' names.
func look(t *testing.T, db *sql.DB, asOf string) (*seen, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	s := newSeen()
	for q, dest := range map[string]map[string]int{
		"select tx, count(*) from lhs" + asOf + " group by tx":  s.lhs,
		"select tx, count(*) from rhs" + asOf + " group by tx":  s.rhs,
		"select tx, count(*) from bulk" + asOf + " group by tx": s.bulk,
		"select worker, n from counter" + asOf:                  s.counter,
	} {
		rows, err := tx.QueryContext(ctx, q)
		if err != nil {
			if strings.Contains(err.Error(), "not found") && asOf != "" {
				continue // no commit yet has the table
			}
			t.Fatalf("%s: %v", q, err)
		}
		for rows.Next() {
			var name string
			var n int
			if err := rows.Scan(&name, &n); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			dest[name] = n
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	var messages []string
	rows, err := tx.QueryContext(ctx, "select message from dolt_log")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var m string
		if err := rows.Scan(&m); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(m, "commit ") {
			messages = append(messages, m)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return s, messages
}
