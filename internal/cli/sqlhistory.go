package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/reeflective/readline"

	"github.com/stemmadb/stemma/internal/errs"
)

// historyLimit is how many statements are remembered.
const historyLimit = 2000

// shellHistory is the statements that were typed, kept in a file with a line of JSON for each. Those that hold passwords are not
// remembered.
type shellHistory struct {
	path  string
	items []string
}

var _ readline.History = (*shellHistory)(nil)

// newShellHistory reads the history in a file. One that cannot be read is an empty one.
func newShellHistory(path string) *shellHistory {
	h := &shellHistory{path: path}
	f, err := os.Open(path)
	if err != nil {
		return h
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var s string
		if json.Unmarshal(lines.Bytes(), &s) == nil && s != "" {
			h.items = append(h.items, s)
			n++
		}
	}
	if len(h.items) > historyLimit {
		h.items = h.items[len(h.items)-historyLimit:]
	}
	if n > 2*historyLimit {
		h.rewrite()
	}
	return h
}

// rewrite makes the file hold only what is remembered. When that fails it stays as long as it is.
func (h *shellHistory) rewrite() {
	var b strings.Builder
	for _, s := range h.items {
		line, err := json.Marshal(s)
		if err != nil {
			return
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	tmp := h.path + ".tmp"
	if os.WriteFile(tmp, []byte(b.String()), 0o600) == nil && os.Rename(tmp, h.path) != nil {
		os.Remove(tmp)
	}
}

// Write implements readline.History.
func (h *shellHistory) Write(s string) (n int, err error) {
	s = strings.TrimSpace(s)
	if s == "" || secret(s) || len(h.items) > 0 && h.items[len(h.items)-1] == s {
		return len(h.items), nil
	}
	h.items = append(h.items, s)
	line, err := json.Marshal(s)
	if err != nil {
		return len(h.items), errs.New(errs.Internal, "remember the statement: %w", err)
	}
	f, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return len(h.items), errs.New(errs.Denied, "remember the statement: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return len(h.items), errors.Join(err, f.Close())
}

// secret tells whether a statement may hold a password; MySQL's client leaves the same ones out.
func secret(s string) bool {
	u := strings.ToUpper(s)
	return strings.Contains(u, "IDENTIFIED") || strings.Contains(u, "PASSWORD")
}

// GetLine implements readline.History.
func (h *shellHistory) GetLine(i int) (string, error) {
	if i < 0 || i >= len(h.items) {
		return "", errs.New(errs.NotFound, "the history has no statement %d", i)
	}
	return h.items[i], nil
}

// Len implements readline.History.
func (h *shellHistory) Len() int { return len(h.items) }

// Dump implements readline.History.
func (h *shellHistory) Dump() any { return h.items }
