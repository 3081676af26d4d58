package errs

import (
	"strings"
	"testing"
)

// People find a code by its name and by that of Python's class.
func TestFindCode(t *testing.T) {
	for _, c := range Codes() {
		class := ""
		for _, w := range strings.Split(c.String(), "-") {
			class += strings.ToUpper(w[:1]) + w[1:]
		}
		for _, s := range []string{c.String(), strings.ToUpper(c.String()), class + "Error", "stemma." + class + "Error"} {
			if got, ok := FindCode(s); !ok || got != c {
				t.Errorf("%s: %s %v", s, got, ok)
			}
		}
	}
	for _, s := range []string{"", "error", "x", "not-", "stemma."} {
		if got, ok := FindCode(s); ok {
			t.Errorf("%q is taken for %s", s, got)
		}
	}
}

// Every code has a page.
func TestExplain(t *testing.T) {
	seen := map[string]Code{}
	for _, c := range Codes() {
		meaning, advice := c.Explain()
		if meaning == "" || advice == "" {
			t.Errorf("%s is not explained", c)
		}
		if other, ok := seen[meaning]; ok {
			t.Errorf("%s and %s have the same page", c, other)
		}
		seen[meaning] = c
	}
	if meaning, _ := Code(200).Explain(); meaning != "" {
		t.Error("an unknown code is explained")
	}
}
