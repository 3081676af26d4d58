package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// crowd is many processes on one directory.
type crowd struct {
	*site
	t    *testing.T
	l    *ledger
	stop context.Context // done when no more is to be begun

	verbs, kills, loads, reads atomic.Int64 // loads are those whose process was killed
}

// TestCrowd lets commands, loads, statements and readers loose on one directory, kills whoever owns it every now and then, and
// looks whether what was acknowledged is there, once, and whether anybody sees half of anything.
func TestCrowd(t *testing.T) {
	stop, cancel := context.WithTimeout(t.Context(), or(time.Minute, 6*time.Second))
	defer cancel()
	c := &crowd{site: newSite(t), t: t, l: newLedger(), stop: stop}
	c.must(t, "sql", "-q", ledgerTables)
	c.must(t, "sql", "-q", "insert into counter values ('p', 0), ('q', 0)")
	c.must(t, "commit", "-Am", "commit the tables")
	c.l.commit("commit the tables", acked)

	work := []func(){
		func() { c.transactions("p", 0) },
		func() { c.commits() },
		func() { c.imports() },
		func() { c.reader() },
	}
	if full() {
		work = append(work,
			func() { c.transactions("q", 20<<10) },
			func() { c.branches() },
			func() { c.inspect() },
			func() { c.holder() },
		)
	}
	var wait sync.WaitGroup
	for _, w := range append(work, c.servers, c.killer) {
		wait.Go(w)
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	s, messages := c.read(c.open(), false)
	if complaints := c.l.settle(s, messages); len(complaints) > 0 {
		t.Errorf("in the end: %d complaints\n%s", len(complaints), some(complaints))
	}
	c.fsck(t)
	// The next owner finds the same, and goes on.
	c.must(t, "sql", "-q", "insert into counter values ('z', 0)")
	s, messages = c.read(c.open(), false)
	if complaints := c.l.settle(s, messages); len(complaints) > 0 {
		t.Errorf("after the next owner: %d complaints\n%s", len(complaints), some(complaints))
	}
	if left, err := os.ReadDir(filepath.Join(c.dir, repo.DirName, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("processes have left %q, %v", left, err)
	}
	t.Logf("%d verbs, %d kills of an owner and %d of a load, %d reads, %d transactions, %d commits", c.verbs.Load(), c.kills.Load(), c.loads.Load(), c.reads.Load(),
		len(c.l.acknowledged()), len(c.l.commits))
	if c.kills.Load() < or[int64](8, 1) || len(c.l.acknowledged()) < or(50, 5) || len(c.l.commits) < 2 || c.reads.Load() < 3 {
		t.Error("too little was done: the test does not test")
	}
}

// verb runs a verb and gives its fate. Everything that is not the work of the killer fails the test.
func (c *crowd) verb(args ...string) fate { return c.verbOf(c.command(args...)) }

// verbOf is verb for a command.
func (c *crowd) verbOf(cmd *exec.Cmd) fate {
	c.verbs.Add(1)
	args := cmd.Args[1:]
	e, err := c.finish(cmd)
	if err != nil {
		c.t.Error(err)
		return unknown
	}
	switch {
	case e.status == 0:
		return acked
	case e.status == -1 && e.err == "", strings.Contains(e.err, "ended before it answered"), strings.Contains(e.err, "whether it was done is not known"):
		return unknown // it owned and was killed, or the owner was
	case strings.Contains(e.err, "the connection has ended, and the statement was not begun"):
		return refused
	case e.status == 1 && strings.Contains(e.err, "nothing to commit"):
		return refused
	case strings.Contains(e.err, "another transaction changed table bulk"):
		return refused // a load whose process was killed when the owner had begun to commit it
	}
	c.t.Errorf("stemma %.100q: %s", args, e)
	return refused
}

// going tells whether more is to be begun.
func (c *crowd) going() bool { return c.stop.Err() == nil && !c.t.Failed() }

// transactions does transactions of SQL, each in a process of its own.
func (c *crowd) transactions(worker string, pad int) {
	for k := 0; c.going(); k++ {
		tx := txName(worker, k)
		c.l.tx(tx, unknown)
		text := "start transaction; " + strings.Join(txStatements(worker, k, pad), "; ") + "; commit"
		if pad == 0 {
			c.l.tx(tx, c.verb("sql", "-q", text))
			continue
		}
		file := filepath.Join(c.home, worker+".sql") // longer than an argument may be
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			c.t.Error(err)
			return
		}
		c.l.tx(tx, c.verb("sql", "-f", file))
	}
}

// commits makes commits.
func (c *crowd) commits() {
	for k := 0; c.going(); k++ {
		message := fmt.Sprintf("commit %d", k)
		c.l.commit(message, unknown)
		if k%2 == 0 {
			c.l.commit(message, c.verb("commit", "-Am", message))
		} else {
			c.l.commit(message, c.verb("commit", "--allow-empty", "-m", message))
		}
	}
}

// imports loads files, beside the owner if there is one. Every third load is killed at some time.
func (c *crowd) imports() {
	for k := 0; c.going(); k++ {
		tx := txName("i", k)
		var b bytes.Buffer
		b.WriteString("tx,i,v\n")
		for i := range bulkRows {
			fmt.Fprintf(&b, "%s,%d,%d\n", tx, i, i*k)
		}
		file := filepath.Join(c.home, "bulk.csv")
		if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
			c.t.Error(err)
			return
		}
		c.l.tx(tx, unknown)
		cmd := c.command("table", "import", "-a", "bulk", file)
		var dead *time.Timer
		if k%3 == 2 {
			dead = time.AfterFunc(time.Duration(20+k*37%400)*time.Millisecond, func() {
				if c.killStarted(cmd) {
					c.loads.Add(1)
				}
			})
		}
		c.l.tx(tx, c.verbOf(cmd))
		if dead != nil {
			dead.Stop()
		}
	}
}

// branches makes branches and removes them.
func (c *crowd) branches() {
	there := map[string]fate{}
	for k := 0; c.going(); k++ {
		name := fmt.Sprintf("b%d", k)
		there[name] = c.verb("branch", name)
		if old := fmt.Sprintf("b%d", k-3); there[old] == acked {
			there[old] = map[fate]fate{acked: refused, refused: acked, unknown: unknown}[c.verb("branch", "-D", old)]
		}
		e, err := c.run("branch")
		if err != nil || e.status != 0 {
			c.t.Errorf("branch: %v %s", err, e)
			return
		}
		for name, f := range there {
			if has := strings.Contains(e.out, " "+name+"\n"); f != unknown && has != (f == acked) {
				c.t.Errorf("branch %s is there: %v\n%s", name, has, e.out)
			}
		}
	}
}

// inspect runs the verbs that only read.
func (c *crowd) inspect() {
	for c.going() {
		for _, args := range [][]string{{"status"}, {"log", "-n", "5"}, {"ls"}, {"diff", "--stat"}} {
			if c.verb(args...) != acked {
				c.t.Errorf("%q was not done", args)
			}
		}
	}
}

// servers keeps a server on the directory, whenever it is not killed.
func (c *crowd) servers() {
	for c.going() {
		cmd := c.command("sql-server", "-P", freePort(c.t), "-l", "warning")
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		if err := c.start(cmd); err != nil {
			c.t.Error(err)
			return
		}
		stopped := context.AfterFunc(c.stop, func() { cmd.Process.Signal(os.Interrupt) })
		c.wait(cmd)
		stopped()
		code := cmd.ProcessState.ExitCode()
		early := code == 130 && c.stop.Err() != nil // interrupted before it was a server
		if code > 0 && !early && !strings.Contains(errOut.String(), "which does not answer") {
			c.t.Errorf("sql-server exits with %d: %s", code, errOut.String())
		}
		select { // give the others a chance to own
		case <-time.After(500 * time.Millisecond):
		case <-c.stop.Done():
		}
	}
}

// killer kills whoever owns the directory.
func (c *crowd) killer() {
	for n := 0; c.going(); n++ {
		select {
		case <-time.After(time.Duration(300+n%5*or(700, 200)) * time.Millisecond):
		case <-c.stop.Done():
			return
		}
		text, err := os.ReadFile(filepath.Join(c.dir, repo.DirName, "LOCK"))
		if err != nil {
			c.t.Error(err)
			return
		}
		pid, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(string(text)), "process "))
		if err == nil && c.kill(pid) {
			c.kills.Add(1)
		}
	}
}

// open opens the database for reading, beside its owner.
func (c *crowd) open() *repo.Repo {
	c.t.Helper()
	r, err := repo.Open(context.Background(), vfs.OS{}, c.dir, repo.Options{ReadOnly: true})
	if err != nil {
		c.t.Errorf("open for reading: %v", err)
		return nil
	}
	return r
}

// reader reads working set and HEAD beside the owner, again and again.
func (c *crowd) reader() {
	r := c.open()
	defer func() {
		if r != nil {
			c.shut(r)
		}
	}()
	for n := 1; c.going() && r != nil; n++ {
		done := c.l.acknowledged()
		if n%4 == 0 {
			c.shut(r)
			r = c.open()
		} else if err := r.Refresh(c.t.Context()); err != nil {
			c.t.Errorf("refresh: %v", err)
			return
		}
		if r == nil {
			return
		}
		s, _ := c.read(r, false)
		if s == nil {
			return
		}
		if complaints := append(s.torn(), s.missing(done)...); len(complaints) > 0 {
			c.t.Errorf("working set: %d complaints\n%s", len(complaints), some(complaints))
		}
		if s, _ = c.read(r, true); s != nil && len(s.torn()) > 0 {
			c.t.Errorf("HEAD: %d complaints\n%s", len(s.torn()), some(s.torn()))
		}
		c.reads.Add(1)
	}
}

// holder keeps what it opened first and reads it again while others fold, checkpoint and remove files.
func (c *crowd) holder() {
	for c.going() {
		r := c.open()
		if r == nil {
			return
		}
		was := ""
		until := time.Now().Add(20 * time.Second)
		for c.going() && time.Now().Before(until) {
			s, err := r.SnapshotWorking(repo.DefaultBranch)
			if err != nil {
				c.t.Error(err)
				return
			}
			sum := crc32.NewIEEE()
			for _, name := range []string{"lhs", "rhs", "bulk", "counter"} {
				if err := c.export(s, name, sum); err != nil {
					c.t.Errorf("read again what was opened earlier: %v", err)
					return
				}
			}
			is := fmt.Sprint(sum.Sum32())
			if was != "" && is != was {
				c.t.Errorf("what was opened earlier has changed: %s, then %s", was, is)
			}
			was = is
			time.Sleep(500 * time.Millisecond)
		}
		c.shut(r)
	}
}

func (c *crowd) shut(r *repo.Repo) {
	if err := r.Close(context.Background()); err != nil {
		c.t.Errorf("close: %v", err)
	}
}

// export writes a table of a snapshot.
func (c *crowd) export(s *repo.Snapshot, name string, w io.Writer) error {
	ctx := context.Background()
	v, _, ok, err := s.Table(ctx, name)
	if err != nil || !ok {
		return errors.Join(err, errs.New(errs.NotFound, "table %s: %v", name, ok))
	}
	_, err = ingest.Export(ctx, w, v, ingest.Format{Comma: ','}, nil)
	return err
}

// read reads the ledger's tables, as of the working set or of HEAD, and with the former the messages of all commits.
func (c *crowd) read(r *repo.Repo, head bool) (*seen, []string) {
	ctx := context.Background()
	out := newSeen()
	var messages []string
	var s *repo.Snapshot
	id, err := r.Resolve(ctx, "HEAD", repo.DefaultBranch)
	if err == nil && head {
		s, err = r.SnapshotAt(ctx, id)
	} else if err == nil {
		s, err = r.SnapshotWorking(repo.DefaultBranch)
	}
	for _, t := range []struct {
		name string
		dest map[string]int
	}{{"lhs", out.lhs}, {"rhs", out.rhs}, {"bulk", out.bulk}, {"counter", out.counter}} {
		if err == nil {
			err = c.tally(s, t.name, t.dest)
		}
	}
	if err == nil && !head {
		messages, err = messagesOf(ctx, r, s.Commit)
	}
	if err != nil {
		c.t.Errorf("read: %v", err)
		return nil, nil
	}
	return out, messages
}

// tally counts the rows of each transaction in a table; of counter it takes the numbers.
func (c *crowd) tally(s *repo.Snapshot, name string, dest map[string]int) error {
	in, out := io.Pipe()
	go func() { out.CloseWithError(c.export(s, name, out)) }()
	records := csv.NewReader(bufio.NewReader(in))
	records.ReuseRecord = true
	if _, err := records.Read(); err != nil {
		return err
	}
	for {
		f, err := records.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key := strings.Clone(f[0]) // without the rest of the line
		if name != "counter" {
			dest[key]++
			continue
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return err
		}
		dest[key] = n
	}
}

// messagesOf is the messages of the test's commits, from id back.
func messagesOf(ctx context.Context, r *repo.Repo, id history.CommitID) ([]string, error) {
	var out []string
	for {
		c, err := history.GetCommit(ctx, r.Store(), id)
		if err != nil || len(c.Parents) == 0 {
			return out, err
		}
		if strings.HasPrefix(c.Message, "commit ") {
			out = append(out, c.Message)
		}
		id = c.Parents[0]
	}
}
