package errs

import "testing"

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
