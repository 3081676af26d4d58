package errs

import (
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("é", 300)
	for text, want := range map[string]string{
		"":                     "",
		"select 'é'\n\tfrom t": "select 'é'\n\tfrom t",
		"\x1b[2J\x00x\xff":     "\ufffd[2J\ufffdx\ufffd",
		long:                   long[:500] + "…",
		"x" + long:             "x" + long[:498] + "…",
	} {
		if got := Excerpt(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
