package badinput

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/go-sql-driver/mysql"
)

// TestVerbs runs the scripts of testdata/verbs against a server: what is refused, in which words, and that nothing was changed by it.
// A script has a database of its own. Lines of its blocks are
//
//	exec [session=a]     statements, which succeed
//	cli                  command lines, which succeed
//	refused [session=a]  verbs with arguments, which are refused as a command, as a CALL and as a SELECT: prints exit status, error
//	                     number and message, once where they are alike
//	only [session=a]     as refused, without the command
//	sql [session=a]      statements, which are refused
//	shows [session=a]    statements whose rows are printed
func TestVerbs(t *testing.T) {
	datadriven.Walk(t, "testdata/verbs", func(t *testing.T, path string) {
		s := newServed(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.run(d)
		})
	})
}

// served is a database with a server.
type served struct {
	t        *testing.T
	base, db string
	pool     *sql.DB
	sessions map[string]*sql.Conn
	hashes   map[string]string // how output names a hash
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, base: t.TempDir(), sessions: map[string]*sql.Conn{}, hashes: map[string]string{}}
	s.db = filepath.Join(s.base, "shop")
	check(t, os.Mkdir(s.db, 0o777))
	if _, errOut, status := s.program("init"); status != 0 {
		t.Fatal(errOut)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	check(t, l.Close())
	cmd := s.command("sql-server", "-H", "127.0.0.1", "-P", fmt.Sprint(port))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	check(t, cmd.Start())
	t.Cleanup(func() {
		for _, c := range s.sessions {
			c.Close()
		}
		check(t, s.pool.Close())
		check(t, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log.Bytes())
		}
	})
	s.pool, err = sql.Open("mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/shop", port))
	check(t, err)
	for deadline := time.Now().Add(time.Minute); s.pool.Ping() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer\n%s", log.Bytes())
		}
	}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *served) command(args ...string) *exec.Cmd {
	cmd := exec.Command("stemma", args...)
	cmd.Dir = s.db
	cmd.Env = append(os.Environ(), "STEMMA_HOME="+filepath.Join(s.base, "home"), "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=ada@example.com")
	return cmd
}

// program runs the program to its end.
func (s *served) program(args ...string) (out, errOut string, status int) {
	s.t.Helper()
	cmd := s.command(args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func (s *served) session(d *datadriven.TestData) *sql.Conn {
	name := "main"
	d.MaybeScanArgs(s.t, "session", &name)
	if s.sessions[name] == nil {
		c, err := s.pool.Conn(context.Background())
		check(s.t, err)
		s.sessions[name] = c
	}
	return s.sessions[name]
}

// queryRows are the rows of a query as lines.
func queryRows(ctx context.Context, c *sql.Conn, query string) ([]string, error) {
	rs, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []string
	for {
		for rs.Next() {
			cols, err := rs.Columns()
			if err != nil {
				return nil, err
			}
			vals := make([]sql.NullString, len(cols))
			into := make([]any, len(cols))
			words := make([]string, len(cols))
			for i := range vals {
				into[i] = &vals[i]
			}
			if err := rs.Scan(into...); err != nil {
				return nil, err
			}
			for i, v := range vals {
				if words[i] = v.String; !v.Valid {
					words[i] = "NULL"
				}
			}
			out = append(out, strings.Join(words, "|"))
		}
		if !rs.NextResultSet() {
			return out, rs.Err()
		}
	}
}

// state is all of the database that a refused request could have changed.
func (s *served) state() []string {
	s.t.Helper()
	ctx := context.Background()
	c, err := s.pool.Conn(ctx)
	check(s.t, err)
	defer c.Close()
	ask := func(query string) []string {
		out, err := queryRows(ctx, c, query)
		if err != nil {
			s.t.Fatalf("%s: %v", query, err)
		}
		return out
	}
	var out []string
	branches := ask("select name from dolt_branches")
	for _, b := range branches {
		ask("use `shop/" + strings.ReplaceAll(b, "`", "``") + "`")
		for _, q := range []string{"select dolt_hashof_db('WORKING'), dolt_hashof_db('STAGED'), dolt_hashof_db('HEAD'), hashof('HEAD')", "select * from dolt_merge_status", "select * from dolt_status"} {
			out = append(out, b+": "+strings.Join(ask(q), "; "))
		}
	}
	ask("use shop")
	for _, q := range []string{"select * from dolt_branches", "select * from dolt_tags", "select * from dolt_stashes", "select * from dolt_reflog('--all')", "show databases"} {
		out = append(out, ask(q)...)
	}
	checked, errOut, status := s.program("branch", "--show-current")
	if status != 0 {
		s.t.Fatal(errOut)
	}
	return append(out, checked)
}

// unchanged complains when something is not as it was.
func (s *served) unchanged(before []string, what string) {
	s.t.Helper()
	after := s.state()
	for _, x := range []struct {
		word string
		a, b []string
	}{{"is gone", before, after}, {"is new", after, before}} {
		for _, l := range x.a {
			if !slices.Contains(x.b, l) {
				s.t.Errorf("%s\nwas refused and changed something; %s: %s", what, x.word, l)
			}
		}
	}
}

func (s *served) run(d *datadriven.TestData) string {
	ctx := context.Background()
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		line = s.fill(strings.TrimSuffix(line, "\n"))
		switch d.Cmd {
		case "exec":
			if _, err := queryRows(ctx, s.session(d), line); err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
		case "cli":
			if _, errOut, status := s.program(words(s.t, line)...); status != 0 {
				s.t.Fatalf("%s: %d %s", line, status, errOut)
			}
		case "shows":
			out, err := queryRows(ctx, s.session(d), line)
			check(s.t, err)
			for _, l := range out {
				fmt.Fprintln(&b, l)
			}
		case "sql":
			before := s.state()
			fmt.Fprintf(&b, "%s\n\t%s\n", line, s.refuse(s.session(d), line))
			s.unchanged(before, line)
		case "refused", "only":
			s.refused(d, line, &b)
		default:
			d.Fatalf(s.t, "unknown command %s", d.Cmd)
		}
	}
	return s.clean(b.String())
}

// refused runs a verb in its three forms.
func (s *served) refused(d *datadriven.TestData, line string, b *strings.Builder) {
	args := words(s.t, line)
	before := s.state()
	fmt.Fprintln(b, line)
	message := ""
	if d.Cmd == "refused" {
		_, errOut, status := s.program(args...)
		errOut = strings.TrimSuffix(errOut, "\n")
		first, hints, _ := strings.Cut(errOut, "\n")
		var ok bool
		if message, ok = strings.CutPrefix(first, "error: "); !ok || status == 0 {
			s.t.Errorf("%s: status %d, message %q", line, status, errOut)
		}
		for hint := range strings.Lines(hints) {
			message += " / " + strings.TrimSpace(hint)
		}
		fmt.Fprintf(b, "\t%d: %s\n", status, message)
		s.unchanged(before, line)
	}
	name := "dolt_" + strings.ReplaceAll(args[0], "-", "_")
	args = args[1:]
	if name == "dolt_conflicts" || name == "dolt_constraints" {
		name, args = name+"_"+args[0], args[1:]
	}
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(a) + "'"
	}
	call := name + "(" + strings.Join(quoted, ", ") + ")"
	got := s.refuse(s.session(d), "call "+call)
	s.unchanged(before, "call "+call)
	if number, text, _ := strings.Cut(got, ": "); text == message {
		fmt.Fprintf(b, "\t%s\n", number)
	} else {
		fmt.Fprintf(b, "\t%s\n", got)
	}
	if selected := s.refuse(s.session(d), "select "+call); selected != got {
		fmt.Fprintf(b, "\tselect %s\n", selected)
	}
	s.unchanged(before, "select "+call)
}

// refuse runs a statement that must fail, and gives its error number and message.
func (s *served) refuse(c *sql.Conn, query string) string {
	s.t.Helper()
	out, err := queryRows(context.Background(), c, query)
	var e *mysql.MySQLError
	switch {
	case err == nil:
		s.t.Errorf("%s: no error, rows %q", query, out)
		return "no error"
	case !errors.As(err, &e):
		s.t.Fatalf("%s: %v", query, err)
	case strings.ContainsAny(e.Message, "\n\r"):
		s.t.Errorf("%s: the message has several lines: %q", query, e.Message)
	}
	return fmt.Sprintf("%d: %s", e.Number, e.Message)
}

// references are what scripts name hashes by: <main~1> is the shown hash of a commit, <main~1:9> its first characters.
var references = regexp.MustCompile(`<([a-zA-Z0-9/~]+)(?::(\d+))?>`)

func (s *served) fill(line string) string {
	return references.ReplaceAllStringFunc(line, func(m string) string {
		parts := references.FindStringSubmatch(m)
		out, errOut, status := s.program("sql", "-r", "csv", "-q", "select hashof('"+parts[1]+"')")
		if status != 0 {
			s.t.Fatal(errOut)
		}
		_, h, _ := strings.Cut(strings.TrimSpace(out), "\n")
		n := len(h)
		if parts[2] != "" {
			fmt.Sscan(parts[2], &n)
		}
		s.hashes[h[:n]] = m
		return h[:n]
	})
}

var (
	anyHash = regexp.MustCompile(`\b[0-9a-v]{32,52}\b`)
	anyTime = regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\b`)
)

// clean gives output without what changes from run to run.
func (s *served) clean(out string) string {
	known := make([]string, 0, len(s.hashes))
	for h := range s.hashes {
		known = append(known, h)
	}
	slices.SortFunc(known, func(a, b string) int { return len(b) - len(a) })
	whole := true
	for _, h := range known {
		if whole && len(h) < 32 { // their beginnings would be found in hashes that no script has named
			whole, out = false, anyHash.ReplaceAllString(out, "[hash]")
		}
		out = strings.ReplaceAll(out, h, s.hashes[h])
	}
	out = anyTime.ReplaceAllString(strings.ReplaceAll(out, s.base, "[base]"), "[time]")
	return anyHash.ReplaceAllString(out, "[hash]")
}

// words cuts a line at blanks; quotes keep blanks, and "" is an empty word.
func words(t *testing.T, line string) []string {
	var out []string
	var word strings.Builder
	in, quote := false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			in, quote = true, c
		case c == ' ':
			if in {
				out = append(out, word.String())
				word.Reset()
			}
			in = false
		default:
			in = true
			word.WriteRune(c)
		}
	}
	if quote != 0 {
		t.Fatalf("an open quote: %s", line)
	}
	if in {
		out = append(out, word.String())
	}
	return out
}
