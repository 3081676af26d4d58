package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/reeflective/readline"

	"github.com/stemmadb/stemma/internal/errs"
)

// lineReader reads what a user types: statements, of as many lines as they take.
type lineReader interface {
	// Readline shows the prompt and reads. io.EOF is Ctrl-D, readline.ErrInterrupt Ctrl-C.
	Readline() (string, error)
}

// shell lets a user run statements one after the other.
func (r *sqlRunner) shell(ctx context.Context) error {
	r.verbose = r.format == Tabular || r.format == Vertical
	if err := r.print(r.p.shellWelcome()); err != nil {
		return err
	}
	sh := &sqlShell{sqlRunner: r}
	sh.lines = sh.terminal()
	return sh.loop(ctx)
}

// shellWelcome is what the shell begins with.
func (p *Program) shellWelcome() string {
	name := "stemma"
	if p.dolt() {
		name = "DoltSQL"
	}
	return "# Welcome to the " + name + " shell.\n# Statements must be terminated with ';'.\n# \"exit\" or \"quit\" (or Ctrl-D) to exit. \"\\help\" for help.\n"
}

const shellHelp = `Statements end with ';', or with \G to draw their rows one cell a line.

  \help                     this text
  \quit, exit, quit         leave (or Ctrl-D)
  \status, \log, \diff, …   run a verb of the command line in this session: \commit -am "message"
  use <db>/<branch>;        work on another branch, in this session only
  Tab                       completes keywords, tables and columns
  Ctrl-R                    searches the history
  Ctrl-C                    cancels the running statement, or clears the line
`

// sqlShell is the shell's state.
type sqlShell struct {
	*sqlRunner
	lines     lineReader
	id        string // of the connection
	prompt    string
	delimiter string // what ends a statement, as DELIMITER set it; "" for ';'
	words     completer
}

// loop reads and runs statements until the user leaves.
func (s *sqlShell) loop(ctx context.Context) error {
	if err := s.refresh(ctx, true); err != nil {
		return err
	}
	for ctx.Err() == nil {
		line, err := s.lines.Readline()
		switch {
		case errors.Is(err, io.EOF):
			return s.print("Bye\n")
		case errors.Is(err, readline.ErrInterrupt):
			continue
		case err != nil:
			return errs.New(errs.Internal, "read from the terminal: %w", err)
		}
		leave, err := s.typed(ctx, line)
		if err != nil {
			return err
		}
		if leave {
			return s.print("Bye\n")
		}
	}
	return errs.With(errs.Canceled, ctx.Err())
}

// typed does what the user typed. Only errors of the shell itself are returned, those of statements are shown.
func (s *sqlShell) typed(ctx context.Context, line string) (leave bool, err error) {
	line = strings.TrimSpace(line)
	switch strings.ToLower(strings.TrimRight(line, "; ")) {
	case "":
		return false, nil
	case "exit", "quit", "exit()", "quit()", `\q`, `\quit`, `\exit`:
		return true, nil
	case `\help`, `\h`, `\?`, "help":
		return false, s.print(shellHelp)
	}
	if strings.HasPrefix(line, `\`) {
		call, err := slashCall(line)
		if err != nil {
			s.p.report(err)
			return false, nil
		}
		line = call
	}
	statements := s.split(line)
	defer func() { s.delimiter = statements.delimiter }()
	for {
		st, err := statements.next()
		if errors.Is(err, io.EOF) {
			return false, s.refresh(ctx, false)
		}
		if err != nil {
			return false, err
		}
		if st.text == "" {
			continue
		}
		if err := s.interruptibly(ctx, st); err != nil {
			s.p.report(errors.New(sqlMessage(err)))
			if gone, _ := lost(err); gone {
				return false, s.reconnect(ctx)
			}
			return false, s.refresh(ctx, false)
		}
	}
}

// interruptibly runs a statement, which an interrupt cancels on its own. A connection that was lost while it lay idle is made again.
func (s *sqlShell) interruptibly(ctx context.Context, st statement) error {
	var once sync.Once
	restore := s.p.interruptible(func() {
		once.Do(func() {
			if err := s.kill(ctx, s.id); err != nil {
				s.p.report(fmt.Errorf("cancel the statement: %s", sqlMessage(err)))
			}
		})
	})
	defer restore()
	err := s.run(ctx, st)
	if _, unsent := lost(err); unsent {
		if err := s.reconnect(ctx); err != nil {
			return err
		}
		return s.run(ctx, st)
	}
	return err
}

// reconnect begins a new session where the old one was, when the process that owned the database has ended.
func (s *sqlShell) reconnect(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.p.Err, "hint: the process that owned the database has ended; this is a new session, without the transaction, variables and temporary tables of the old one")
	return s.refresh(ctx, true)
}

// refresh computes the prompt, and after a new connection its number.
func (s *sqlShell) refresh(ctx context.Context, fresh bool) error {
	if fresh {
		cells, err := s.one(ctx, "select connection_id()")
		if err != nil {
			return errs.New(errs.Unavailable, "ask the engine: %s", sqlMessage(err))
		}
		s.id = cells[0]
	}
	s.words.forget()
	s.prompt = "> "
	cells, err := s.one(ctx, "select database()")
	if err != nil || cells[0] == "" {
		return nil // what is wrong is told by the next statement
	}
	s.database = cells[0]
	s.prompt = cells[0] + "> "
	cells, err = s.one(ctx, "select active_branch(), exists(select 1 from dolt_status)")
	if err != nil || cells[0] == "" {
		return nil // not a branch, or not a database with history
	}
	base, _, _ := strings.Cut(s.database, "/")
	s.prompt = base + "/" + cells[0]
	if cells[1] != "0" {
		s.prompt += "*"
	}
	s.prompt += "> "
	return nil
}

// slashCall is the CALL for a line such as \commit -am "message".
func slashCall(line string) (string, error) {
	words, err := shellWords(strings.TrimRight(line[1:], "; "))
	if err != nil {
		return "", err
	}
	if len(words) == 0 {
		return "", errs.New(errs.Invalid, `a verb is missing; see \help`)
	}
	var b strings.Builder
	b.WriteString("call stemma_" + strings.ReplaceAll(words[0], "-", "_") + "(")
	for i, w := range words[1:] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(w) + "'")
	}
	b.WriteString(");")
	return b.String(), nil
}

// shellWords cuts a line into words as a shell does: at blanks outside of quotes.
func shellWords(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	inWord := false
	var quote rune
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				out = append(out, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errs.New(errs.Invalid, "a %c is not closed", quote)
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}

// split cuts what was typed into statements, at what DELIMITER has set.
func (s *sqlShell) split(text string) *splitter {
	out := newSplitter(strings.NewReader(text))
	if s.delimiter != "" {
		out.delimiter = s.delimiter
	}
	return out
}

// whole tells whether what was typed can be run: it ends with a terminator, or needs none.
func (s *sqlShell) whole(text string) bool {
	t := strings.TrimSpace(text)
	switch strings.ToLower(t) {
	case "", "exit", "quit", "exit()", "quit()", "help":
		return true
	}
	if strings.HasPrefix(t, `\`) {
		return true
	}
	statements := s.split(t)
	for {
		_, err := statements.next()
		if err != nil {
			return true
		}
		if !statements.closed {
			return false
		}
	}
}

// terminal reads from the terminal, with history and completion.
func (s *sqlShell) terminal() lineReader {
	rl := readline.NewShell()
	// Asked where the cursor is, a terminal answers among what was typed meanwhile, which would be lost. A prompt begins a line here.
	rl.Config.Set("cursor-position-probe", false)
	rl.Prompt.Primary(func() string { return s.prompt })
	rl.Prompt.Secondary(func() string { return strings.Repeat(" ", max(0, len(s.prompt)-len("-> "))) + "-> " })
	rl.AcceptMultiline = func(line []rune) bool { return s.whole(string(line)) }
	rl.Completer = func(line []rune, cursor int) readline.Completions {
		// Not with NoSpace: what is typed next would take away the last letter of a word that was completed.
		return readline.CompleteValues(s.words.complete(s, string(line[:cursor]))...)
	}
	if path := s.p.historyFile(); path != "" {
		rl.History.Delete()
		rl.History.Add("statements", newShellHistory(path))
	}
	return rl
}

// historyFile is where the shell's history is kept: in $STEMMA_HOME, else where the system keeps a program's state; "" for nowhere.
func (p *Program) historyFile() string {
	const name = "sql_history"
	dir := p.Env(envHome)
	switch {
	case dir != "":
		dir = absolute(p.Dir, dir)
	case p.Env("XDG_STATE_HOME") != "":
		dir = filepath.Join(p.Env("XDG_STATE_HOME"), "stemma")
	default:
		var err error
		if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
			dir, err = os.UserConfigDir()
		} else if dir, err = os.UserHomeDir(); err == nil {
			dir = filepath.Join(dir, ".local", "state")
		}
		if err != nil {
			return ""
		}
		dir = filepath.Join(dir, "stemma")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "" // a shell without memory is better than none
	}
	return filepath.Join(dir, name)
}
