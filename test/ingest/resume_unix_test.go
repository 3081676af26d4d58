//go:build unix

package ingest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// settle is how long a client has to take what has been sent to it, before something happens: the system's buffers hold much.
const settle = 3 * time.Second

// valve is a proxy that counts what a server sends, and does something once when it has sent so much.
type valve struct {
	addr string
	sent atomic.Int64
	at   int64
	do   func()
	once sync.Once
	wait time.Duration // before do
}

// newValve forwards connections to an address. When at bytes have come do is called, and the connection that they came on is cut.
func newValve(t *testing.T, to string, at int64, do func()) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	v := &valve{addr: l.Addr().String(), at: at, do: do, wait: settle}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() {
				pass(out, in, func(int) bool { return true })
				out.Close()
			}()
			go func() {
				pass(in, out, v.take)
				in.Close()
				out.Close()
			}()
		}
	}()
	return v
}

// take counts bytes; false cuts the connection.
func (v *valve) take(n int) bool {
	if v.sent.Add(int64(n)) < v.at || v.at == 0 {
		return true
	}
	first := false
	v.once.Do(func() {
		first = true
		time.Sleep(v.wait)
		v.do()
	})
	return !first
}

// pass copies bytes in small pieces.
func pass(to, from net.Conn, take func(n int) bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !take(n) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// broken is a kind of database whose pull breaks off.
type broken struct {
	server *server
	host   string                   // of the server
	via    func(addr string) string // the address of the database by way of a proxy
	exec   func(statements string)  // runs statements
	wait   func()                   // until what was written is safe from a kill
	tells  bool                     // the server tells whether a query's columns may be NULL
}

// run breaks pulls off in several ways and wants the next one to continue them, with the state of that moment.
func (b *broken) run(t *testing.T) {
	const rows = 60_000
	b.wait()
	s := newSite(t)

	// The whole table, for comparison.
	whole := newValve(t, b.host, 0, nil)
	other := newSite(t)
	other.says(0, fmt.Sprintf("wide: +%d -0 ~0 of %d rows", rows, rows), "ingest", b.via(whole.addr), "-t", "wide", "-t", "pairs")
	if got := other.ok("ingest", b.via(b.host), "-t", "wide"); strings.Contains(got, "continued") || !strings.Contains(got, "Already up to date.") {
		t.Error(got)
	}
	all := whole.sent.Load()

	// The server dies: nothing is written, but what has come is kept.
	cut := newValve(t, b.host, all/2, b.server.kill)
	s.says(6, "the connection failed", "ingest", b.via(cut.addr), "-t", "wide", "-t", "pairs", "--retries", "0")
	s.says(0, "nothing to commit", "status")
	s.says(3, "table not found: wide", "table", "export", "wide")
	b.server.again()

	// Meanwhile rows change, in what has come and in what has not.
	b.exec("update wide set note = 'changed' where id in (1, 55555)")
	b.exec("delete from wide where id in (2, 9999, 55556)")
	b.exec("insert into wide values (0, 'before'), (100000, 'behind')")
	again := newValve(t, b.host, 0, nil)
	got := s.ok("ingest", b.via(again.addr), "-t", "wide", "-t", "pairs")
	if !strings.Contains(got, "wide: a pull was continued, of which ") || !strings.Contains(got, fmt.Sprintf("wide: +%d -0 ~0 of %d rows", rows-1, rows-1)) {
		t.Error(got)
	}
	if sent := again.sent.Load(); sent > all*4/5 {
		t.Errorf("%d bytes were sent again of %d", sent, all)
	}
	s.query("select id, note from wide where id in (0, 1, 2, 3, 9999, 55555, 55556, 100000) order by id", "id,note\n0,before\n1,changed\n3,note of row 3 é\n55555,changed\n100000,behind\n")
	s.query("select count(*) n, sum(id) s from wide", fmt.Sprintf("n,s\n%d,%d\n", rows-1, rows*(rows+1)/2-2-9999-55556+100000))
	s.query("select count(*) n from pairs where a = 'x''y' and b = 3", "n\n1\n")
	s.clean()
	if left, _ := filepath.Glob(filepath.Join(s.dir, ".stemma", "pulls", "*")); len(left) != 2 { // the locks
		t.Error(left)
	}

	// The program dies, or is interrupted.
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		b.exec(fmt.Sprintf("update wide set note = concat('%d ', note)", sig))
		var cmd *exec.Cmd
		mid := newValve(t, b.host, all/2, func() {
			_ = cmd.Process.Signal(sig)
			time.Sleep(200 * time.Millisecond)
		})
		cmd = exec.Command("stemma", "ingest", b.via(mid.addr), "-t", "wide", "--retries", "0")
		cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "STEMMA_HOME="+filepath.Join(filepath.Dir(s.dir), "home"))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%v: %s", sig, out)
		}
		s.says(0, "nothing to commit", "status")
		rest := newValve(t, b.host, 0, nil)
		if got := s.ok("ingest", b.via(rest.addr), "-t", "wide"); !strings.Contains(got, "wide: a pull was continued") || !strings.Contains(got, fmt.Sprintf("~%d of", rows-1)) {
			t.Error(got)
		}
		if sent := rest.sent.Load(); sent > all*4/5 {
			t.Errorf("%v: %d bytes were sent again of %d", sig, sent, all)
		}
		s.query("select count(*) n from wide where note like '"+fmt.Sprint(int(sig))+" %'", fmt.Sprintf("n\n%d\n", rows-1))
		s.clean()
	}

	// Nothing is continued when that is not wanted, and damage to what was kept only means that more is read.
	for _, restart := range []bool{true, false} {
		b.exec("update wide set note = concat(note, '!') where id < 10")
		s.says(6, "the connection failed", "ingest", b.via(newValve(t, b.host, all/2, func() {}).addr), "-t", "wide", "--retries", "0")
		args := []string{"ingest", b.via(b.host), "-t", "wide"}
		if restart {
			args = append(args, "--restart")
		} else {
			damage(t, filepath.Join(s.dir, ".stemma", "pulls"))
		}
		got := s.ok(args...)
		if restart == strings.Contains(got, "continued") || !strings.Contains(got, "wide: +0 -0 ~9 of") {
			t.Errorf("restart %v: %s", restart, got)
		}
		s.clean()
	}
}

// anew breaks off pulls that cannot be continued: of a table without a key, or with one that may be NULL, and of a query. They say so and why, leave nothing, and the next one has the
// state of its moment.
func (b *broken) anew(t *testing.T) {
	const rows = 20_000
	s := newSite(t)
	for _, c := range []struct {
		table, why string
		args       []string
	}{
		{"plain", "there is no key by which the rest could be asked for; --key names one", []string{"-t", "plain"}},
		{"plain", "its key may be NULL", []string{"-t", "plain", "--key", "m"}},
		{"asked", "as far as the server tells the key of a query may be NULL", []string{"--query", "select n, note from plain", "--as", "asked", "--key", "n"}},
	} {
		if c.table == "asked" && b.tells {
			continue
		}
		whole := newValve(t, b.host, 0, nil)
		newSite(t).ok(append([]string{"ingest", b.via(whole.addr)}, c.args...)...)
		cut := newValve(t, b.host, whole.sent.Load()/2, func() {})
		cut.wait = 0
		broke := append([]string{"ingest", b.via(cut.addr), "--retries", "0"}, c.args...)
		s.says(6, "table "+c.table+": the next pull reads all its rows again: "+c.why, broke...)
		s.says(0, "nothing to commit", "status")
		s.says(3, "table not found: "+c.table, "table", "export", c.table)
		if left, _ := filepath.Glob(filepath.Join(s.dir, ".stemma", "pulls", "*")); len(left) != 0 {
			t.Errorf("%s left %v", c.table, left)
		}
		b.exec("update plain set note = concat(note, '!') where n = 1")
		// The connection that breaks once is tried again by itself.
		once := newValve(t, b.host, whole.sent.Load()/2, func() {})
		once.wait = 0
		if got := s.ok(append([]string{"ingest", b.via(once.addr)}, c.args...)...); strings.Contains(got, "continued") || !strings.Contains(got, fmt.Sprintf("+%d -0 ~0 of %d rows", rows, rows)) {
			t.Errorf("%s: %s", c.table, got)
		}
		s.query("select count(*) n, count(distinct n) d, sum(note like '%!') c from "+c.table, fmt.Sprintf("n,d,c\n%d,%d,1\n", rows, rows))
		s.ok("sql", "-q", "drop table "+c.table)
		s.ok("commit", "-am", "dropped")
		b.exec("update plain set note = 'note of row 1' where n = 1")
	}
}

// damage changes a byte in the last third of the rows that a pull has left.
func damage(t *testing.T, dir string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	n := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < 1000 {
			continue
		}
		n++
		data[len(data)*2/3] ^= 1
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Fatalf("%d files of rows among %v", n, names)
	}
}

func TestPostgresContinued(t *testing.T) {
	srv := postgresServer(t)
	pg(t, srv.addr, `create table wide (id int primary key, note text not null); insert into wide select i, 'note of row ' || i || ' é' from generate_series(1, 60000) i;
		create table pairs (a varchar(10), b int, x numeric, primary key (a, b)); insert into pairs select chr(97 + i % 26), i, i / 3.0 from generate_series(1, 500) i;
		insert into pairs values ('x''y', 3, null); create table plain (n int not null, m int, note text); insert into plain select i, i, 'note of row ' || i from generate_series(1, 20000) i`)
	u, _ := url.Parse(srv.addr)
	b := &broken{server: srv, host: u.Host, via: func(addr string) string {
		v := *u
		v.Host = addr
		return v.String()
	}, exec: func(q string) { pg(t, srv.addr, q) }, wait: func() {}}
	b.run(t)
	b.anew(t)
}

func TestMariaDBContinued(t *testing.T) {
	srv := mariadbServer(t)
	dsn := "root@tcp(" + srv.addr + ")/shop?charset=utf8mb4"
	exec := func(q string) {
		t.Helper()
		if err := my(dsn, q); err != nil {
			t.Fatal(err)
		}
	}
	exec(`create table wide (id int primary key, note text not null) default charset utf8mb4; insert into wide select seq, concat('note of row ', seq, ' é') from seq_1_to_60000;
		create table pairs (a varchar(10), b int, x decimal(20,5), primary key (a, b)) default charset latin1; insert into pairs select char(97 + seq % 26), seq, seq / 3 from seq_1_to_500;
		insert into pairs values ('x''y', 3, null); create table plain (n int not null, m int, note text) default charset utf8mb4;
		insert into plain select seq, seq, concat('note of row ', seq) from seq_1_to_20000`)
	b := &broken{server: srv, host: srv.addr, via: func(addr string) string { return "mysql://root@" + addr + "/shop" }, exec: exec, wait: func() { time.Sleep(2 * time.Second) }, tells: true}
	b.run(t)
	b.anew(t)
}
