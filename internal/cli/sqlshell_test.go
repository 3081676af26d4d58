package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reeflective/readline"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/vfs"
)

// typist types lines and notes the prompts.
type typist struct {
	sh      *sqlShell
	lines   []any // strings and errors
	prompts []string
}

func (y *typist) Readline() (string, error) {
	y.prompts = append(y.prompts, y.sh.prompt)
	if len(y.lines) == 0 {
		return "", io.EOF
	}
	next := y.lines[0]
	y.lines = y.lines[1:]
	if err, ok := next.(error); ok {
		return "", err
	}
	return next.(string), nil
}

func runShell(t *testing.T, lines ...any) (out, errOut string, prompts []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	if err := repo.Init(t.Context(), vfs.OS{}, dir, repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	p := &Program{Specs: op.All(), Dir: dir, dir: dir, Out: &o, Err: &e, Clock: clock.System{}, Env: func(string) string { return "" }, name: "stemma"}
	s, err := p.openSQL(t.Context(), &op.Scope{Dir: dir, Author: op.Author{Name: "Ada", Email: "a@x"}, Clock: p.Clock}, "")
	if err != nil {
		t.Fatal(err)
	}
	sh := &sqlShell{sqlRunner: &sqlRunner{sqlSession: s, out: &o, format: Tabular, now: fixed{}, verbose: true}}
	y := &typist{sh: sh, lines: lines}
	sh.lines = y
	if err := sh.loop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), y.prompts
}

// fixed is a clock that stands still.
type fixed struct{ clock.Clock }

func (fixed) Now() time.Time { return time.Time{} }

// hashes are hashes in an answer.
var hashes = regexp.MustCompile(`[0-9a-v]{32}`)

func TestShell(t *testing.T) {
	out, errOut, prompts := runShell(t,
		"create table t (id int primary key, b binary(2));",
		"insert into t values (1, 'ab'), (2, 'cd'); select * from t;",
		"select id from t where id = 3;",
		"select id from t where id = 1\\G",
		readline.ErrInterrupt,
		`\commit -Am "two words"`,
		"update t set b = 'xy' where id = 1;",
		"select nope;",
		`\nope`,
		`\commit "`,
		"",
		"use `db/main`;",
		"select message from dolt_log limit 1;",
		"EXIT;",
	)
	want := `Query OK, 0 rows affected (0.00 sec)
Query OK, 2 rows affected (0.00 sec)
+----+--------+
| id | b      |
+----+--------+
| 1  | 0x6162 |
| 2  | 0x6364 |
+----+--------+
2 rows in set (0.00 sec)

Empty set (0.00 sec)

*************************** 1. row ***************************
id: 1
1 row in set (0.00 sec)

+----------------------------------+
| hash                             |
+----------------------------------+
| HASH |
+----------------------------------+
1 row in set (0.00 sec)

Query OK, 1 row affected (0.00 sec)
Database Changed
+-----------+
| message   |
+-----------+
| two words |
+-----------+
1 row in set (0.00 sec)

Bye
`
	got := hashes.ReplaceAllString(out, "HASH")
	if got != want {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
	for _, w := range []string{`column "nope" could not be found`, "stemma_nope", `a " is not closed`} {
		if !strings.Contains(errOut, w) {
			t.Errorf("standard error has no %q:\n%s", w, errOut)
		}
	}
	if got, want := fmt.Sprint(prompts), "[db/main>  db/main*>  db/main*>  db/main*>  db/main*>  db/main*>  db/main>  db/main*>  db/main*>  db/main*>  db/main*>  db/main*>  db/main*>  db/main*> ]"; got != want {
		t.Errorf("prompts\n%s, want\n%s", got, want)
	}
}

func TestWhole(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "  ": true, "select 1": false, "select 1;": true, "select ';": false, "select 1; select 2": false, "quit": true,
		`\status`: true, `select 1\G`: true, "create procedure p() begin select 1;": false, "select 1 -- ;": false, "select 1; -- done": true,
	} {
		if (&sqlShell{}).whole(text) != want {
			t.Errorf("whole(%q) is %v", text, !want)
		}
	}
	other := &sqlShell{delimiter: "//"}
	for text, want := range map[string]bool{
		"select 1;": false, "select 1//": true, "create procedure p() begin select 1; end": false, "select 1; select 2//": true, "delimiter ;": true,
		"quit": true,
	} {
		if other.whole(text) != want {
			t.Errorf("with another delimiter whole(%q) is %v", text, !want)
		}
	}
}

// What DELIMITER sets holds for what is typed later.
func TestShellDelimiter(t *testing.T) {
	out, errOut, _ := runShell(t, "delimiter //", "select 1 as a// select 2 as b//", "select nope//", "select 3 as c//", "delimiter ;", "select 4 as d;", "exit")
	for _, w := range []string{"| a |", "| b |", "| c |", "| d |"} {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s\n%s", w, out, errOut)
		}
	}
	if n := strings.Count(errOut, "error:"); n != 1 {
		t.Errorf("%d errors, want one:\n%s", n, errOut)
	}
}

func TestSlashCall(t *testing.T) {
	for line, want := range map[string]string{
		`\status`:                     "call stemma_status();",
		`\commit -am "it's a\b" ;`:    `call stemma_commit('-am', 'it''s a\\b');`,
		`\cherry-pick 'a b' "" c"d"e`: "call stemma_cherry_pick('a b', '', 'cde');",
	} {
		if got, err := slashCall(line); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", line, got, err, want)
		}
	}
	for _, line := range []string{`\`, `\commit "`} {
		if _, err := slashCall(line); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestComplete(t *testing.T) {
	c := completer{names: []string{"hospital", "Hour", "id", "price"}, columns: map[string][]string{"hospital": {"id", "Hour"}}}
	for before, want := range map[string]string{
		"select h": "[Hour having hospital]", "SELECT HO": "[Hour hospital]", "sel": "[select]", "SEL": "[SELECT]", "select ": "[hospital Hour id price]",
		"select x.pr": "[price]", "select Hospital.": "[id Hour]", "select hospital.i": "[id]", "select 'ü.i": "[id]", "select 1.": "[hospital Hour id price]", "'ü": "[]",
	} {
		if got := fmt.Sprint(c.complete(nil, before)); got != want {
			t.Errorf("%q: %s, want %s", before, got, want)
		}
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	h := newShellHistory(path)
	for _, s := range []string{"select 1;", "select 1;", "select\n2;", "create user a identified by 'x';", " ", "set password = 'x';"} {
		if _, err := h.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	h = newShellHistory(path)
	if h.Len() != 2 {
		t.Fatalf("%q", h.items)
	}
	if s, err := h.GetLine(1); err != nil || s != "select\n2;" {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := h.GetLine(2); !errs.Is(err, errs.NotFound) {
		t.Errorf("%v", err)
	}
	for i := range 2*historyLimit + 1 {
		if _, err := h.Write(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	newShellHistory(path)
	if data, err := os.ReadFile(path); err != nil || bytes.Count(data, []byte("\n")) != historyLimit {
		t.Errorf("%d lines, %v", bytes.Count(data, []byte("\n")), err)
	}
}

// owning gives work that fails as it is, and asks again while nobody answers.
func TestOwning(t *testing.T) {
	p := &Program{}
	locked := errs.New(errs.Locked, "locked")
	boom := errors.New("boom")
	tries := 0
	if err := p.owning(t.Context(), func() error { tries++; return settled{locked} }, nil); err != locked || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
	if err := p.owning(t.Context(), func() error { return boom }, nil); err != boom {
		t.Error(err)
	}
	tries = 0
	err := p.owning(t.Context(), func() error { return locked }, func() error {
		if tries++; tries < 3 {
			return fmt.Errorf("x: %w", owner.ErrNoOwner)
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	p.patience = 10 * time.Millisecond
	if err := p.owning(t.Context(), func() error { return locked }, func() error { return owner.ErrNoOwner }); !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.owning(ctx, func() error { return locked }, func() error { return owner.ErrNoOwner }); !errs.Is(err, errs.Canceled) {
		t.Error(err)
	}
}
