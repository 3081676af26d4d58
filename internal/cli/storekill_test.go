package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/object/gs/gstest"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
)

// storeServer is a server of a database in a bucket, on a machine of its own: with a cache of its own.
type storeServer struct {
	cmd  *exec.Cmd
	db   *sql.DB
	said strings.Builder
}

// serveStore starts a server of the database at url on the machine of that name.
func serveStore(t *testing.T, base, machine, url string) *storeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &storeServer{cmd: command(base, "sql-server", "--store", url, "-P", port, "-l", "warning")}
	s.cmd.Env = append(s.cmd.Env, "STEMMA_CACHE="+filepath.Join(base, machine))
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if s.db, err = sql.Open("mysql", "root@tcp(127.0.0.1:"+port+")/shop?timeout=5s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.db.Close()
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = s.db.Ping(); err == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server on %s does not answer: %v\n%s", machine, err, s.said.String())
		}
	}
}

// TestStoreServers has servers on several machines change one database in a bucket, each of which is killed now and then in the middle: what was
// acknowledged is there once, and what was not is there once or not at all.
func TestStoreServers(t *testing.T) {
	for kind, start := range map[string]func(*testing.T) (url string){
		"file": func(t *testing.T) string { return "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "shop")) },
		"gs":   func(t *testing.T) string { gstest.Start(t, "data"); return "gs://data/shop" },
		"s3":   func(t *testing.T) string { s3test.Start(t, "data"); return "s3://data/shop" },
	} {
		t.Run(kind, func(t *testing.T) { storeServers(t, start(t)) })
	}
}

func storeServers(t *testing.T, url string) {
	base := t.TempDir()
	db := filepath.Join(base, "shop")
	if err := os.Mkdir(db, 0o755); err != nil {
		t.Fatal(err)
	}
	stemma(t, db, "init")
	stemma(t, db, "sql", "-q", "create table own (id varchar(20) primary key); create table common (id int primary key, v int not null); insert into common values (0, 0), (1, 0)")
	stemma(t, db, "commit", "-A", "-m", "tables")
	stemma(t, db, "push", url, "main")

	rng := rand.New(rand.NewPCG(7, 7))
	const machines, rounds = 3, 3
	var mu sync.Mutex
	acknowledged, open := map[string]bool{}, map[string]bool{} // rows of own
	var shared, sharedOpen, refused int                        // counts of shared
	for round := range rounds {
		servers := make([]*storeServer, machines)
		for m := range servers {
			servers[m] = serveStore(t, base, fmt.Sprint("m", m), url)
		}
		kills := make([]time.Duration, machines)
		for m := range kills {
			kills[m] = time.Duration(500+rng.IntN(1500)) * time.Millisecond
		}
		var wait sync.WaitGroup
		for m, s := range servers {
			ctx, cancel := context.WithCancel(t.Context())
			for g := range 2 {
				wait.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						id := fmt.Sprintf("%d-%d-%d-%d", round, m, g, n)
						own, err := storeStep(ctx, s.db, id, n)
						mu.Lock()
						var told *mysql.MySQLError
						switch {
						case err == nil && own:
							acknowledged[id] = true
						case err == nil:
							shared++
						case errors.As(err, &told) && told.Number == 1213:
							refused++
						case own:
							open[id] = true
						default:
							sharedOpen++
						}
						mu.Unlock()
						if err != nil && !errors.As(err, &told) {
							return // it was killed
						}
					}
				})
			}
			wait.Go(func() {
				time.Sleep(kills[m])
				s.cmd.Process.Kill()
				s.cmd.Wait()
				cancel()
			})
		}
		wait.Wait()
	}
	last := serveStore(t, base, "last", url)
	rows, err := last.db.Query("select id from own")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		there[id] = true
		if !acknowledged[id] && !open[id] {
			t.Errorf("row %s is there, which was refused or never sent", id)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for id := range acknowledged {
		if !there[id] {
			t.Errorf("row %s was acknowledged and is not there", id)
		}
	}
	var sum int
	if err := last.db.QueryRow("select sum(v) from common").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	if sum < shared || sum > shared+sharedOpen {
		t.Errorf("%d counts are there, %d were acknowledged and the outcome of %d is not known", sum, shared, sharedOpen)
	}
	t.Logf("%d rows and %d counts acknowledged, %d and %d open, %d refused", len(acknowledged), shared, len(open), sharedOpen, refused)
	if len(acknowledged) < 5 || shared == 0 {
		t.Error("too little was done: the test does not test")
	}
	// It is a remote like any other: what is committed can be cloned, and is sound.
	if _, err := last.db.Exec("call dolt_commit('-Am', 'all of it')"); err != nil {
		t.Fatal(err)
	}
	stemma(t, base, "clone", url, "clone")
	clone := filepath.Join(base, "clone")
	if got := stemma(t, clone, "sql", "-r", "csv", "-q", "select count(*) from own"); !strings.Contains(got, fmt.Sprint(len(there))) {
		t.Errorf("the clone has %s rows, want %d", got, len(there))
	}
	if got := stemma(t, clone, "fsck"); !strings.Contains(got, "no problems found") {
		t.Error(got)
	}
}

// storeStep makes a row of its own or, with every third n, counts in a row that all machines count in.
func storeStep(ctx context.Context, db *sql.DB, id string, n int) (own bool, err error) {
	if n%3 != 0 {
		_, err = db.ExecContext(ctx, "insert into own values (?)", id)
		return true, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var v int
	if err := tx.QueryRowContext(ctx, "select v from common where id = 0").Scan(&v); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "update common set v = ? where id = 0", v+1); err != nil {
		return false, err
	}
	return false, tx.Commit()
}
