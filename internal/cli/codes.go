package cli

import (
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// codePage shows what a class of errors means, and how each kind of client sees it.
func (p *Program) codePage(c errs.Code) error {
	meaning, advice := c.Explain()
	status, _ := statusOf(c)
	class := "stemma."
	for _, w := range strings.Split(c.String(), "-") {
		class += strings.ToUpper(w[:1]) + w[1:]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "NAME\n    %s - a class of errors\n\nMEANING\n", c)
	writeText(&b, meaning)
	b.WriteString("\nWHAT TO DO\n")
	writeText(&b, advice)
	fmt.Fprintf(&b, "\nSEEN AS\n    exit status %d; %sError in Python; the code \"%s\" in JSON\n", status, class, c)
	return p.print(b.String())
}
