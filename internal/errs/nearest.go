package errs

import (
	"errors"
	"slices"
	"strings"
)

// Nearest are the candidates that someone who typed name may have meant, at most three: those at the smallest edit distance (insertions,
// deletions, substitutions and swaps of neighbours) if that is small for the name's length: of up to two
// characters one at the end or a swap, one of up to four, two of up to seven. One that begins with the name counts as one edit away. The name itself is no
// suggestion.
func Nearest(name string, candidates []string) []string {
	low := strings.ToLower(name)
	bare := strings.TrimLeft(low, "-")
	if bare == "" {
		return nil
	}
	best := max(1, (len(bare)+1)/3)
	short := len(bare) < 3 // nearly every short name is one edit away from another
	var out []string
	for _, c := range candidates {
		if c == name {
			continue
		}
		lc := strings.ToLower(c)
		d := distance(low, lc)
		switch begins := len(bare) >= 2 && strings.HasPrefix(lc, low); {
		case begins:
			d = min(d, 1)
		case short && !strings.HasPrefix(low, lc) && !strings.HasPrefix(lc, low) && !swapped(low, lc):
			continue
		}
		switch {
		case d < best:
			best, out = d, []string{c}
		case d == best && len(out) < 3 && !slices.Contains(out, c):
			out = append(out, c)
		}
	}
	return out
}

// swapped tells whether two characters and another two are the same the other way round.
func swapped(a, b string) bool { return len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0] }

// distance is the optimal string alignment distance of a and b in bytes.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// DidYouMean is the end of a message that offers names, in the one form that all messages have; "" without names.
func DidYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean '" + strings.Join(names, "' or '") + "'?"
}

// meant is an error about a name that does not exist, with names that do.
type meant struct {
	err   error
	names []string
}

func (e *meant) Error() string { return e.err.Error() + DidYouMean(e.names) }
func (e *meant) Unwrap() error { return e.err }

// WithMeant adds the names to err that may have been meant, to its text as well. Without names err stays as it is.
func WithMeant(err error, names []string) error {
	if err == nil || len(names) == 0 {
		return err
	}
	return &meant{err, names}
}

// Meant are the names that WithMeant has added to err.
func Meant(err error) []string {
	var m *meant
	if errors.As(err, &m) {
		return m.names
	}
	return nil
}
