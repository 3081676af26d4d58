package cli

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// statement is a statement of a script.
type statement struct {
	text     string // without its terminator
	line     int    // where it begins, from 1
	vertical bool   // it ended with \G: its rows are to be drawn one cell a line
}

// splitter cuts a script into statements, as MySQL's client does: at ';' or what DELIMITER names, and at \g and \G, outside of
// strings, quoted names and comments. The body of a CREATE PROCEDURE, TRIGGER, FUNCTION or EVENT may hold ';' between BEGIN and END
// without a change of delimiter.
type splitter struct {
	in        *bufio.Reader
	delimiter string
	line      int // of the next byte

	text   strings.Builder // of the statement being read
	start  int             // its line; 0 before its first word
	first  []string        // its first words, in upper case, as many as can tell whether it has a body
	word   []byte          // being read
	depth  int             // of BEGIN and CASE
	ending bool            // the last word was END
	cut    bool            // the last byte of text is the terminator
	closed bool            // the statement that next returned had a terminator
}

// newSplitter reads statements from r.
func newSplitter(r io.Reader) *splitter {
	return &splitter{in: bufio.NewReaderSize(r, 64<<10), delimiter: ";", line: 1}
}

// maxFirst is how many words may stand before the kind of object in CREATE OR REPLACE DEFINER = x @ y SQL SECURITY … PROCEDURE.
const maxFirst = 10

// next is the next statement; io.EOF after the last one. What stands behind the last terminator is a statement too.
func (s *splitter) next() (statement, error) {
	s.reset()
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return s.last(err)
		}
		if s.start == 0 && !isSpace(c) {
			if s.delimiterCommand(c) {
				continue
			}
			if s.startsComment(c) {
				s.comment(c)
				continue
			}
			s.start = s.line
		}
		switch {
		case isWord(c):
			s.word = append(s.word, c)
			s.put(c)
			if s.delimiter[0] == c && s.terminated(c) {
				return s.statement(false), nil
			}
			continue
		case c == '\'' || c == '"' || c == '`':
			s.endWord()
			s.quoted(c)
			continue
		case s.startsComment(c):
			s.endWord()
			s.comment(c)
			continue
		}
		s.endWord()
		if c == '\\' {
			if n := s.peek(1); n == "g" || n == "G" {
				s.skip(1)
				return s.statement(n == "G"), nil
			}
		}
		s.put(c)
		if c == s.delimiter[0] && (s.depth == 0 || s.delimiter != ";") && s.terminated(c) {
			return s.statement(false), nil
		}
	}
}

func (s *splitter) reset() {
	s.text.Reset()
	s.start, s.first, s.word, s.depth, s.ending, s.cut = 0, s.first[:0], s.word[:0], 0, false, false
}

// last is what is left at the end of the input.
func (s *splitter) last(err error) (statement, error) {
	if !errors.Is(err, io.EOF) {
		return statement{}, errs.New(errs.CodeOf(err), "read statements: %w", err)
	}
	if strings.TrimSpace(s.text.String()) == "" {
		return statement{}, io.EOF
	}
	st := s.statement(false)
	s.closed = false
	return st, nil
}

func (s *splitter) statement(vertical bool) statement {
	s.closed = true
	t := s.text.String()
	if s.cut {
		t = t[:len(t)-1]
	}
	return statement{strings.TrimSpace(t), max(s.start, 1), vertical}
}

// put adds a byte to the statement.
func (s *splitter) put(c byte) {
	if c == '\n' {
		s.line++
	}
	if s.start > 0 {
		s.text.WriteByte(c)
	}
}

// terminated tells whether the delimiter begins with c, which was just put; then it is taken away.
func (s *splitter) terminated(c byte) bool {
	rest := s.delimiter[1:]
	if rest != "" && s.peek(len(rest)) != rest {
		return false
	}
	s.skip(len(rest))
	s.cut = true
	return true
}

// delimiterCommand reads a line DELIMITER x, of which c is the first byte.
func (s *splitter) delimiterCommand(c byte) bool {
	const word = "delimiter"
	if c|0x20 != word[0] || !strings.EqualFold(s.peek(len(word)-1), word[1:]) {
		return false
	}
	if after := s.peek(len(word)); len(after) == len(word) && !isSpace(after[len(word)-1]) {
		return false
	}
	line, _ := s.in.ReadString('\n') // the end of the input ends the line as well; it is met again by the next read
	if strings.HasSuffix(line, "\n") {
		s.line++
	}
	if d := strings.TrimSpace(line[len(word)-1:]); d != "" {
		s.delimiter = d
	}
	return true
}

// startsComment tells whether a comment begins with c.
func (s *splitter) startsComment(c byte) bool {
	switch c {
	case '#':
		return true
	case '-':
		n := s.peek(2)
		return n == "-" || len(n) == 2 && n[0] == '-' && isSpace(n[1])
	case '/':
		return s.peek(1) == "*"
	}
	return false
}

// comment reads a comment, which belongs to the statement when that has begun. One with "!" or "+" is not a comment but says something
// to the server, and begins a statement.
func (s *splitter) comment(c byte) {
	if c != '/' {
		for c != '\n' {
			s.put(c)
			var err error
			if c, err = s.in.ReadByte(); err != nil {
				return
			}
		}
		s.put(c)
		return
	}
	if n := s.peek(2); s.start == 0 && n == "*!" {
		s.start = s.line
	}
	s.put(c)
	var before byte
	for {
		n, err := s.in.ReadByte()
		if err != nil {
			return
		}
		s.put(n)
		if before == '*' && n == '/' {
			return
		}
		before = n
		if c == '/' && n == '*' { // the opening star does not close
			before, c = 0, 0
		}
	}
}

// quoted reads a string or name in quotes of the kind q.
func (s *splitter) quoted(q byte) {
	s.put(q)
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return
		}
		s.put(c)
		switch {
		case c == q:
			return // a doubled quote opens the next one at once
		case c == '\\' && q != '`':
			if c, err = s.in.ReadByte(); err != nil {
				return
			}
			s.put(c)
		}
	}
}

// endWord takes in the word that has been read.
func (s *splitter) endWord() {
	if len(s.word) == 0 {
		return
	}
	w := strings.ToUpper(string(s.word))
	s.word = s.word[:0]
	if len(s.first) < maxFirst {
		s.first = append(s.first, w)
	}
	if !s.hasBody() {
		return
	}
	ending := s.ending
	s.ending = false
	switch w {
	case "BEGIN":
		s.depth++
	case "CASE":
		if !ending { // END CASE has been counted with its END
			s.depth++
		}
	case "END":
		s.depth = max(s.depth-1, 0)
		s.ending = true
	case "IF", "LOOP", "WHILE", "REPEAT":
		if ending { // the END was of something that is not counted
			s.depth++
		}
	}
}

// hasBody tells whether the statement creates something with statements in it.
func (s *splitter) hasBody() bool {
	if len(s.first) == 0 || s.first[0] != "CREATE" {
		return false
	}
	for _, w := range s.first {
		switch w {
		case "PROCEDURE", "TRIGGER", "FUNCTION", "EVENT":
			return true
		case "TABLE", "VIEW", "DATABASE", "INDEX", "USER":
			return false
		}
	}
	return false
}

// peek is the next n bytes, or fewer at the end.
func (s *splitter) peek(n int) string {
	b, _ := s.in.Peek(n) // fewer bytes come with an error, which the next read meets again
	return string(b)
}

func (s *splitter) skip(n int) {
	for range n {
		if _, err := s.in.ReadByte(); err != nil {
			return
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
