// Command pygen writes the Python methods of the verbs, python/src/stemma/_ops.py, from their declarations in package op.
//
//	go run ./internal/op/pygen python/src/stemma/_ops.py
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/value"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pygen <file>")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(module(op.All())), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// module is the text of the Python module for the verbs.
func module(specs []op.Spec) string {
	var rows, reads, flags, methods strings.Builder
	for _, s := range specs {
		if s.New == nil || s.Hidden {
			continue
		}
		if s.ReadOnly {
			fmt.Fprintf(&reads, "        %q,\n", s.Name)
		}
		if s.Columns != nil {
			writeRow(&rows, s)
		}
		fmt.Fprintf(&flags, "    %q: %q,\n", s.Name, flagWords(s))
		writeMethod(&methods, s)
	}
	return `"""The verbs as methods of a database. Generated from their declarations in Go: go run ./internal/op/pygen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from stemma._results import Result, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

R = TypeVar("R", bound=Row)

# The verbs that change nothing in the database, which can be asked for again when an answer is lost.
READ_ONLY = frozenset(
    {
` + reads.String() + `    }
)

# The flags of the verbs as the command line has them: after each / those that mean the keyword before it, which is followed by = where it takes
# a value.
FLAGS = {
` + flags.String() + `}

` + rows.String() + `
class Verbs:
    """The verbs of stemma. Each method has the name and the parameters of the command; docs of both are the same."""

    def _op(self, op: str, row: type[R], args: Mapping[str, Any]) -> Result[R]:
        raise NotImplementedError
` + methods.String()
}

// flagWords are the flags of a verb in the form of FLAGS.
func flagWords(s op.Spec) string {
	var out []string
	for _, p := range s.Params {
		if p.Hidden || p.DoltOnly || p.Flag == "" && p.Short == "" {
			continue
		}
		w := identifier(p.Name)
		if p.Kind != op.Bool {
			w += "="
		}
		for _, f := range append([]string{p.Flag}, p.Aliases...) {
			if f != "" {
				w += "/--" + f
			}
		}
		if p.Short != "" {
			w += "/-" + p.Short
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// writeRow adds the class of a verb's rows.
func writeRow(b *strings.Builder, s op.Spec) {
	fmt.Fprintf(b, "\n@dataclass(frozen=True, slots=True)\nclass %s(Row):\n    \"\"\"A row of what `%s` answers.\"\"\"\n\n", className(s), s.Name)
	for _, c := range s.Columns {
		fmt.Fprintf(b, "    %s: %s\n", identifier(c.Name), pythonType(c.Type))
	}
	b.WriteByte('\n')
}

// writeMethod adds the method of a verb: numbered arguments by position, the rest as *args, flags by keyword.
func writeMethod(b *strings.Builder, s op.Spec) {
	var positional, rest, keywords []op.Param
	for _, p := range s.Params {
		switch {
		case p.Hidden || p.DoltOnly:
		case p.Arg > 0:
			positional = append(positional, p)
		case p.Arg == op.RestArgs:
			rest = append(rest, p)
		default:
			keywords = append(keywords, p)
		}
	}
	slices.SortStableFunc(positional, func(x, y op.Param) int { return x.Arg - y.Arg })
	// A message may stand first, as in repo.commit("what changed"), where no argument does.
	if len(positional) == 0 && len(rest) == 0 {
		if i := slices.IndexFunc(keywords, func(p op.Param) bool { return p.Name == "message" }); i >= 0 {
			positional, keywords = append(positional, keywords[i]), slices.Delete(keywords, i, i+1)
		}
	}
	row := "Row"
	if s.Columns != nil {
		row = className(s)
	}
	fmt.Fprintf(b, "\n    def %s(\n        self,\n", identifier(s.Name))
	for _, p := range positional {
		fmt.Fprintf(b, "        %s,\n", declare(p))
	}
	for _, p := range rest {
		fmt.Fprintf(b, "        *%s: str,\n", identifier(p.Name))
	}
	if len(rest) == 0 && len(keywords) > 0 {
		b.WriteString("        *,\n")
	}
	for _, p := range keywords {
		fmt.Fprintf(b, "        %s,\n", declare(p))
	}
	fmt.Fprintf(b, "    ) -> Result[%s]:\n        \"\"\"%s.\n", row, escape(s.Short))
	if s.Long != "" {
		fmt.Fprintf(b, "\n%s\n", indent(escape(s.Long)))
	}
	if all := slices.Concat(positional, rest, keywords); len(all) > 0 {
		b.WriteString("\n        Args:\n")
		for _, p := range all {
			fmt.Fprintf(b, "            %s: %s.\n", identifier(p.Name), escape(p.Help))
		}
	}
	b.WriteString("\n        \"\"\"\n")
	fmt.Fprintf(b, "        return self._op(\n            %q,\n            %s,\n            {", s.Name, row)
	for _, p := range slices.Concat(positional, rest, keywords) {
		fmt.Fprintf(b, "\n                %q: %s,", p.Name, identifier(p.Name))
	}
	if len(positional)+len(rest)+len(keywords) > 0 {
		b.WriteString("\n            ")
	}
	b.WriteString("},\n        )\n")
}

// declare is a parameter with its type and default. None stands for the default of the verb.
func declare(p op.Param) string {
	name := identifier(p.Name)
	var t string
	switch p.Kind {
	case op.Bool:
		if p.Default == "true" {
			return name + ": bool = True"
		}
		return name + ": bool = False"
	case op.Int:
		t = "int"
	case op.Strings:
		return name + ": Sequence[str] | str = ()"
	case op.Duration:
		t = "timedelta | str"
	case op.Time:
		t = "datetime | str"
	default:
		t = "str"
		if len(p.Enum) > 0 {
			quoted := make([]string, len(p.Enum))
			for i, e := range p.Enum {
				quoted[i] = fmt.Sprintf("%q", e)
			}
			t = "Literal[" + strings.Join(quoted, ", ") + "]"
		}
	}
	if p.Required {
		return name + ": " + t
	}
	return name + ": " + t + " | None = None"
}

// pythonType is the type of a result's cells.
func pythonType(t value.Type) string {
	switch t.Kind {
	case value.KindInt8:
		if t.Length == 1 {
			return "bool"
		}
		return "int"
	case value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24,
		value.KindUint32, value.KindUint64, value.KindYear, value.KindBit:
		return "int"
	case value.KindFloat32, value.KindFloat64:
		return "float"
	case value.KindDatetime, value.KindTimestamp:
		return "datetime"
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return "bytes"
	}
	return "str"
}

// keywords are Python's that a verb or a parameter may be called.
var keywords = []string{"and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
	"finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try",
	"while", "with", "yield"}

// identifier is a name as Python can have it.
func identifier(name string) string {
	n := strings.NewReplacer(" ", "_", "-", "_").Replace(name)
	if n != "ALL" { // commit has both --all and --ALL
		n = strings.ToLower(n)
	}
	if slices.Contains(keywords, n) {
		return n + "_"
	}
	return n
}

// className is the name of the class of a verb's rows: TableImportRow.
func className(s op.Spec) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(s.Name, func(r rune) bool { return r == ' ' || r == '-' }) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String() + "Row"
}

// escape makes text fit for a docstring.
func escape(s string) string { return strings.NewReplacer(`\`, `\\`, `"""`, `'''`).Replace(s) }

// indent puts paragraphs under a docstring's first line.
func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, l := range lines {
		if l = strings.TrimRight(l, " "); l != "" {
			lines[i] = "        " + l
		}
	}
	return strings.Join(lines, "\n")
}
