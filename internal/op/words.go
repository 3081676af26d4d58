package op

import (
	"fmt"
	"strconv"
	"strings"
)

// isNumber tells whether s is digits with at most one point between them.
func isNumber(s string) bool {
	whole, frac, point := strings.Cut(s, ".")
	return digits(whole) && (!point || digits(frac))
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, " ")
}

func atMost(n int) string {
	if n == 1 {
		return "at most 1 argument"
	}
	return fmt.Sprintf("at most %d arguments", n)
}

// prefixed puts the verb before an error's message.
func prefixed(verb string, err error) error { return fmt.Errorf("%s: %w", verb, err) }
