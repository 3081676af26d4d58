package lineage

import (
	"bytes"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// ThinnedCommit is what became of a commit when a history was thinned. Hashes are in full.
type ThinnedCommit struct {
	Was    string
	Now    string // what it was made anew as; "" when it is gone
	Joined bool   // what Now changes holds what commits before it changed that are gone
	Erased bool   // Now has not all that Was had: rows, or the history before it, were made anew without something
}

// Thinned knows what became of commits when histories were thinned. Nil knows of none. It is immutable.
type Thinned struct {
	became map[string]ThinnedCommit // by Was
	was    map[string][]string      // by Now
	joined map[string]bool          // by Now
}

// The first words of a line of the file.
const (
	thinnedGone   = "gone"   // was
	thinnedMoved  = "moved"  // was, now
	thinnedJoined = "joined" // was, now
	thinnedErased = "erased" // behind now
)

// ReadThinned reads what Encode writes. Errors are of class Corrupt.
func ReadThinned(data []byte) (*Thinned, error) {
	var list []ThinnedCommit
	for line := range bytes.Lines(data) {
		words := strings.Fields(string(line))
		erased := len(words) == 4 && words[3] == thinnedErased
		if erased {
			words = words[:3]
		}
		bad := len(words) < 2
		for _, h := range words[min(1, len(words)):] {
			bad = bad || len(h) != hash.FullLen
		}
		switch {
		case bad:
		case words[0] == thinnedGone && len(words) == 2:
			list = append(list, ThinnedCommit{Was: words[1]})
			continue
		case (words[0] == thinnedMoved || words[0] == thinnedJoined) && len(words) == 3:
			list = append(list, ThinnedCommit{Was: words[1], Now: words[2], Joined: words[0] == thinnedJoined, Erased: erased})
			continue
		}
		return nil, errs.New(errs.Corrupt, "read what became of thinned commits: line %q cannot be understood", strings.TrimSpace(string(line)))
	}
	return newThinned(list), nil
}

func newThinned(list []ThinnedCommit) *Thinned {
	t := &Thinned{became: map[string]ThinnedCommit{}, was: map[string][]string{}, joined: map[string]bool{}}
	for _, c := range list {
		t.became[c.Was] = c
		if c.Now != "" {
			t.was[c.Now] = append(t.was[c.Now], c.Was)
			t.joined[c.Now] = t.joined[c.Now] || c.Joined
		}
	}
	return t
}

// Encode is a line for each commit: what happened, what it was, what it is.
func (t *Thinned) Encode() []byte {
	var lines []string
	for _, c := range t.all() {
		line := thinnedMoved
		switch {
		case c.Now == "":
			line = thinnedGone
		case c.Joined:
			line = thinnedJoined
		}
		if line += " " + c.Was; c.Now != "" {
			line += " " + c.Now
		}
		if c.Now != "" && c.Erased {
			line += " " + thinnedErased
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

func (t *Thinned) all() []ThinnedCommit {
	if t == nil {
		return nil
	}
	out := make([]ThinnedCommit, 0, len(t.became))
	for _, c := range t.became {
		out = append(out, c)
	}
	return out
}

// With is what is known when histories have been thinned again.
func (t *Thinned) With(more []ThinnedCommit) *Thinned {
	next := make(map[string]ThinnedCommit, len(more))
	for _, c := range more {
		next[c.Was] = c
	}
	list := t.all()
	for i := range list {
		if to, ok := next[list[i].Now]; ok && list[i].Now != "" {
			list[i].Now, list[i].Joined = to.Now, to.Now != "" && (list[i].Joined || to.Joined)
			list[i].Erased = list[i].Erased || to.Erased
		}
	}
	return newThinned(append(list, more...))
}

// Became is what a commit was made anew as, "" when it is gone; ok is false for one that was not thinned.
func (t *Thinned) Became(commit string) (now string, ok bool) {
	if t == nil {
		return "", false
	}
	c, ok := t.became[commit]
	return c.Now, ok
}

// Find is what became of the commit whose hash begins so; ok is false when none or several begin so.
func (t *Thinned) Find(prefix string) (found ThinnedCommit, ok bool) {
	if t == nil {
		return found, false
	}
	for w, c := range t.became {
		if !strings.HasPrefix(w, strings.ToLower(prefix)) {
			continue
		}
		if ok {
			return ThinnedCommit{}, false
		}
		found, ok = c, true
	}
	return found, ok
}

// Was are the commits as which a commit was made anew.
func (t *Thinned) Was(commit string) []string {
	if t == nil {
		return nil
	}
	return t.was[commit]
}

// Joined tells whether what a commit changes holds what thinned commits before it changed.
func (t *Thinned) Joined(commit string) bool { return t != nil && t.joined[commit] }
