package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/object/buckettest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// place is where a test has a database, of one kind.
type place struct {
	kind buckettest.Kind // none for a directory
	srv  *objecttest.Server
	url  string
	env  map[string]string // of programs that work there
}

// inPlaces runs a test in a directory and in buckets of every kind, some of them at the same time.
func inPlaces(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		test(t, place{url: "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "shop"))})
	})
	inBuckets(t, test)
}

// inBuckets runs it in buckets only.
func inBuckets(t *testing.T, test func(t *testing.T, p place)) {
	for _, kind := range buckettest.Kinds {
		t.Run(kind.Scheme, func(t *testing.T) {
			t.Parallel()
			srv, env := kind.New(t, "data")
			test(t, place{kind: kind, srv: srv, url: kind.Scheme + "://data/shop", env: env})
		})
	}
}

// throughBadNetwork is the place as it is seen through a network that is slow and cuts connections; a directory is as it is.
func (p place) throughBadNetwork(t *testing.T) place {
	t.Helper()
	if p.srv != nil {
		n, at := objecttest.NewNetwork(t, p.srv.URL, 4<<20)
		n.Cut.Store(25 << 10)
		p.env = buckettest.Behind(p.srv, p.env, at)
		t.Cleanup(func() {
			if n.Cuts.Load() == 0 {
				t.Error("no connection was cut: the test does not test")
			}
		})
	}
	return p
}

// command is a stemma that finds the place.
func (p place) command(dir string, args ...string) *exec.Cmd {
	cmd := command(dir, args...)
	for name, text := range p.env {
		cmd.Env = append(cmd.Env, name+"="+text)
	}
	return cmd
}

// stemma runs one.
func (p place) stemma(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := p.command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("stemma %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// push makes a database of statements in the directory shop of base, commits what is left of them, and pushes all branches to the place.
func (p place) push(t *testing.T, base, statements string) {
	t.Helper()
	db := filepath.Join(base, "shop")
	if err := os.Mkdir(db, 0o755); err != nil {
		t.Fatal(err)
	}
	p.stemma(t, db, "init")
	p.stemma(t, db, "sql", "-q", statements)
	if !strings.Contains(p.stemma(t, db, "status"), "working tree clean") {
		p.stemma(t, db, "commit", "-A", "-m", "tables")
	}
	p.stemma(t, db, "push", "--all", p.url)
}

// storeServer is a server of a database in a bucket, on a machine of its own: with a cache of its own.
type storeServer struct {
	cmd  *exec.Cmd
	db   *sql.DB
	said strings.Builder
}

// serve starts a server of the database on the machine of that name.
func (p place) serve(t *testing.T, base, machine string) *storeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	s := &storeServer{cmd: p.command(base, "sql-server", "--store", p.url, "-P", port, "-l", "warning")}
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
func TestStoreServers(t *testing.T) { inPlaces(t, storeServers) }

func storeServers(t *testing.T, p place) {
	base := t.TempDir()
	p.push(t, base, "create table own (id varchar(20) primary key); create table common (id int primary key, v int not null); insert into common values (0, 0), (1, 0)")

	rng := rand.New(rand.NewPCG(7, 7))
	const machines, rounds = 3, 3
	var mu sync.Mutex
	acknowledged, open := map[string]bool{}, map[string]bool{} // rows of own
	var shared, sharedOpen, refused int                        // counts of shared
	for round := range rounds {
		servers := make([]*storeServer, machines)
		for m := range servers {
			servers[m] = p.serve(t, base, fmt.Sprint("m", m))
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
	last := p.serve(t, base, "last")
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
	p.stemma(t, base, "clone", p.url, "clone")
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

// TestStoreRate: in a bucket that takes one write of an object a second, transactions that wait for the same branch go in one write, and branches do
// not wait for each other.
func TestStoreRate(t *testing.T) { inBuckets(t, storeRate) }

func storeRate(t *testing.T, p place) {
	base := t.TempDir()
	p.push(t, base, "create table own (id varchar(20) primary key); call dolt_commit('-Am', 'table'); call dolt_branch('side')")
	var mu sync.Mutex
	last, taken, early := map[string]time.Time{}, map[string]int{}, 0
	p.srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		name := p.kind.Puts(r, "data")
		if !strings.HasPrefix(name, "shop/refs/") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last[name]) < time.Second {
			early++
			return p.kind.Busy(w, r)
		}
		last[name] = time.Now()
		taken[name]++
		return false
	}
	s := p.serve(t, base, "m")
	s.db.SetMaxOpenConns(40)
	const writers, rounds = 8, 5
	began := time.Now()
	var wait sync.WaitGroup
	for _, branch := range []string{"main", "side"} {
		for g := range writers {
			wait.Go(func() {
				for n := range rounds {
					if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf("insert into `shop/%s`.own values ('%d-%d')", branch, g, n)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wait.Wait()
	took := time.Since(began)
	mu.Lock()
	for _, branch := range []string{"main", "side"} {
		writes := taken["shop/refs/heads/"+branch]
		t.Logf("%s: %d transactions in %d writes, %s, %.2f writes a second", branch, writers*rounds, writes, took, float64(writes)/took.Seconds())
		if writes == 0 || writes > 2*rounds {
			t.Errorf("%s: %d writes for %d rounds of transactions", branch, writes, rounds)
		}
	}
	if early > 8 {
		t.Errorf("%d writes came too early", early)
	}
	mu.Unlock()
	// What changes several refs, each of them more than once, is done there, too.
	if _, err := s.db.Exec("call dolt_branch('-m', 'side', 'aside')"); err != nil {
		t.Error(err)
	}
	for _, branch := range []string{"main", "aside"} {
		var n int
		if err := s.db.QueryRow("select count(*) from `shop/" + branch + "`.own").Scan(&n); err != nil || n != writers*rounds {
			t.Errorf("%s has %d rows (%v), want %d", branch, n, err, writers*rounds)
		}
	}
}

// TestStoreRuns has servers on several machines commit for runs and be killed in the middle: of each commit that is there it is known which run has
// made it, once.
func TestStoreRuns(t *testing.T) { inPlaces(t, storeRuns) }

func storeRuns(t *testing.T, p place) {
	base := t.TempDir()
	p.push(t, base, "create table own (id varchar(20) primary key)")
	rng := rand.New(rand.NewPCG(3, 9))
	const machines = 2
	var mu sync.Mutex
	acknowledged := map[string]bool{} // commits
	for round := range 2 {
		var wait sync.WaitGroup
		for m := range machines {
			s := p.serve(t, base, fmt.Sprint("m", m))
			ctx, cancel := context.WithCancel(t.Context())
			for g := range 2 {
				wait.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						id := fmt.Sprintf("%d-%d-%d-%d", round, m, g, n)
						commit, err := runStep(ctx, s.db, fmt.Sprint("run ", g), id)
						var told *mysql.MySQLError
						switch {
						case err == nil:
							mu.Lock()
							acknowledged[commit] = true
							mu.Unlock()
						case !errors.As(err, &told):
							return // it was killed
						case told.Number != 1213:
							t.Errorf("%s: %v", id, err)
						}
					}
				})
			}
			kill := time.Duration(1000+rng.IntN(1500)) * time.Millisecond
			wait.Go(func() {
				time.Sleep(kill)
				s.cmd.Process.Kill()
				s.cmd.Wait()
				cancel()
			})
		}
		wait.Wait()
	}
	last := p.serve(t, base, "last")
	rows, err := last.db.Query("select l.commit_hash, count(o.run_uid), min(l.message) from dolt_log l left join stemma_run_outputs o on left(o.commit_hash, 32) = l.commit_hash group by l.commit_hash")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for rows.Next() {
		var commit, message string
		var n int
		if err := rows.Scan(&commit, &n, &message); err != nil {
			t.Fatal(err)
		}
		if acknowledged[commit] {
			found++
		}
		if made := strings.HasPrefix(message, "step "); made && n != 1 || !made && n != 0 {
			t.Errorf("commit %s (%s) was made by %d runs", commit, message, n)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if found != len(acknowledged) {
		t.Errorf("%d of %d commits that were acknowledged are there", found, len(acknowledged))
	}
	t.Logf("%d commits of runs", found)
	if found < 4 {
		t.Error("too little was done: the test does not test")
	}
}

// runStep makes a row in a transaction of a run that ends with a commit.
func runStep(ctx context.Context, db *sql.DB, run, id string) (commit string, err error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	for _, q := range []string{fmt.Sprintf("set @@stemma_run = '%s'", run), "begin", fmt.Sprintf("insert into own values ('%s')", id)} {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return "", err
		}
	}
	err = c.QueryRowContext(ctx, fmt.Sprintf("select dolt_commit('-a', '-m', 'step %s')", id)).Scan(&commit)
	return commit, err
}

// TestStoreInit: of those who make a database at one place at the same moment one does, and who is killed meanwhile leaves it to the others.
func TestStoreInit(t *testing.T) {
	inPlaces(t, func(t *testing.T, p place) {
		base := t.TempDir()
		for n := range 6 { // killed ever later, so that some have done it and some have not
			cmd := p.command(base, "init", p.url)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
		}
		there := p.command(base, "ls-remote", p.url)
		text, err := there.CombinedOutput()
		made := err == nil && strings.Contains(string(text), "refs/heads/main")
		var wait sync.WaitGroup
		results := make([]error, 4)
		said := make([]string, len(results))
		for i := range results {
			wait.Go(func() {
				out, err := p.command(base, "init", p.url).CombinedOutput()
				results[i], said[i] = err, string(out)
			})
		}
		wait.Wait()
		done := 0
		for i, err := range results {
			if err == nil {
				done++
			} else if !strings.Contains(said[i], "there is a database at "+p.url+" already") {
				t.Errorf("%v: %s", err, said[i])
			}
		}
		if made && done != 0 || !made && done != 1 {
			t.Errorf("%d have made a database where there was one: %t", done, made)
		}
		s := p.serve(t, base, "m")
		if _, err := s.db.Exec("create table t (id int primary key)"); err != nil {
			t.Error(err)
		}
		if _, err := s.db.Exec("call dolt_commit('-Am', 't')"); err != nil {
			t.Error(err)
		}
	})
}

// TestStoreVerbs has a server begin what another one ends, by SQL, while the first is killed: a merge with conflicts, a rebase whose plan is changed, and
// changes that are set aside. The network before a bucket is bad.
func TestStoreVerbs(t *testing.T) { inPlaces(t, storeVerbs) }

func storeVerbs(t *testing.T, p place) {
	base := t.TempDir()
	p = p.throughBadNetwork(t)
	p.push(t, base, `create table t (id int primary key, v int); insert into t values (1, 0), (2, 0); call dolt_commit('-Am', 'table');
		call dolt_checkout('-b', 'fix'); update t set v = 5; call dolt_commit('-am', 'fives'); insert into t values (3, 3); call dolt_commit('-am', 'three');
		call dolt_checkout('main'); update t set v = 7 where id = 1; call dolt_commit('-am', 'seven')`)
	// session is a connection to a server that is started for it.
	session := func(machine, branch string) (s *storeServer, do func(query string), ask func(query string) string) {
		s = p.serve(t, base, machine)
		c, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		do = func(query string) {
			t.Helper()
			if _, err := c.ExecContext(t.Context(), query); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}
		do("use `shop/" + branch + "`")
		return s, do, func(query string) (out string) {
			t.Helper()
			if err := c.QueryRowContext(t.Context(), query).Scan(&out); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return out
		}
	}
	kill := func(s *storeServer) { s.cmd.Process.Kill(); s.cmd.Wait() }

	a, do, _ := session("a", "main")
	do("set dolt_allow_commit_conflicts = 1")
	do("call dolt_merge('fix')")
	kill(a)
	b, do, ask := session("b", "main")
	if got := ask("select concat(base_v, ' ', our_v, ' ', their_v) from dolt_conflicts_t"); got != "0 7 5" {
		t.Errorf("the conflict is %q", got)
	}
	do("set dolt_allow_commit_conflicts = 1")
	do("update t set v = 6 where id = 1")
	do("delete from dolt_conflicts_t")
	do("call dolt_commit('-am', 'merged')")
	do("update t set v = 9 where id = 2")
	do("call dolt_stash('push', 'mine')")
	kill(b)
	a, do, ask = session("a", "main")
	if got := ask("select group_concat(v order by id) from t"); got != "6,5,3" {
		t.Errorf("the merged rows are %q", got)
	}
	if got := ask("select count(*) from dolt_commit_ancestors where commit_hash = hashof('HEAD')"); got != "2" {
		t.Errorf("the merge has %s parents", got)
	}
	do("call dolt_stash('pop', 'mine')")
	if got := ask("select concat(v, ' ', (select count(*) from dolt_stashes)) from t where id = 2"); got != "9 0" {
		t.Errorf("brought back: %q", got)
	}
	do("call dolt_commit('-am', 'nine')")
	do("call dolt_checkout('-b', 'late', 'main~1')")
	for _, q := range []string{"insert into t values (10, 1)", "insert into t values (11, 1)"} {
		do(q)
		do("call dolt_commit('-am', 'late')")
	}
	do("call dolt_rebase('-i', 'main')")
	kill(a)
	_, do, ask = session("b", "dolt_rebase_late")
	do("update dolt_rebase set action = 'squash' where rebase_order = 2")
	do("call dolt_rebase('--continue')")
	do("use `shop/late`")
	if got := ask("select group_concat(v order by id) from t"); got != "6,9,3,1,1" {
		t.Errorf("the rebased rows are %q", got)
	}
	if got := ask("select count(*) from dolt_log('late', '--not', 'main')"); got != "1" {
		t.Errorf("%s commits are on top of main, want one", got)
	}
}
