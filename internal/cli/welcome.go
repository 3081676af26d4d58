package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/op"
)

// step is something to do next.
type step struct{ verb, args, help string }

// steps are for a directory without a database, or for one with.
func steps(database bool) []step {
	if !database {
		return []step{
			{"init", "", "make this directory a database"},
			{"clone", "<url>", "copy a database from elsewhere"},
			{"config", `--global --set user.name "Your Name" user.email you@example.com`, "say who you are"},
		}
	}
	return []step{
		{"status", "", "what has changed since the last commit"},
		{"sql", "", "query and change tables"},
		{"table import", "<table> <file>", "load a file"},
		{"commit", "-A -m <message>", "record the changes"},
		{"log", "", "the history"},
		{"sql-server", "", "let MySQL clients in"},
	}
}

// welcome is what the program says when it is called without a command: what to do next, as far as it has the verbs. Under the name
// dolt it lists the commands and exits with 1, as Dolt does.
func (p *Program) welcome() error {
	if p.dolt() {
		p.status = exitFailed
		return p.list(op.Spec{})
	}
	marker, found, err := findDatabase(p.dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	if found {
		fmt.Fprintf(&b, "The database %s is in %s.\n", filepath.Base(filepath.Dir(marker)), filepath.Dir(marker))
	} else {
		fmt.Fprintf(&b, "There is no database in %s.\n", p.dir)
	}
	b.WriteString("\nWhat to do next:\n")
	specs := p.specs()
	for _, s := range append(steps(found), step{"help", "", "all commands"}) {
		if _, ok := op.Find(specs, s.verb); ok || s.verb == "help" {
			fmt.Fprintf(&b, "   %s\n      %s\n", joined(p.name, s.verb, s.args), s.help)
		}
	}
	return p.print(b.String())
}
