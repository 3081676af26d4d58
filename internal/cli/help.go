package cli

import (
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// lineWidth is the width in columns to which help is wrapped.
const lineWidth = 100

// help shows the page of the command or the class of errors that the words name, or the list of commands.
func (p *Program) help(words []string) error {
	for len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return p.list(op.Spec{})
	}
	if len(words) == 1 && words[0] == "completion" {
		return p.print(completionPage(p.name))
	}
	specs := p.specs()
	for n := len(words); n > 0; n-- {
		s, ok := op.Find(specs, strings.Join(words[:n], " "))
		switch {
		case !ok:
			continue
		case s.New != nil:
			return p.page(s)
		case n < len(words):
			return p.unknown(words[n], s.Name, p.children(s.Name))
		}
		return p.list(s)
	}
	if c, ok := errs.FindCode(words[0]); ok && len(words) == 1 && !p.dolt() {
		return p.codePage(c)
	}
	return p.unknown(words[0], "", p.children(""))
}

// list shows the commands below parent; the zero Spec is the program itself.
func (p *Program) list(parent op.Spec) error {
	var b strings.Builder
	kids := p.children(parent.Name)
	switch {
	case p.dolt():
		fmt.Fprintf(&b, "Valid commands for %s are\n", joined(p.name, parent.Name))
		for _, s := range kids {
			words := s.Words()
			fmt.Fprintf(&b, "    %16s - %s.\n", words[len(words)-1], s.Short)
		}
	case parent.Name != "":
		fmt.Fprintf(&b, "usage: %s <command> [<args>]\n\n", joined(p.name, parent.Name))
		writeCommands(&b, kids)
	default:
		fmt.Fprintf(&b, "usage: %s [<global options>] <command> [<args>]\n", p.name)
		for _, g := range groups(kids) {
			fmt.Fprintf(&b, "\n%s\n", g.title)
			writeCommands(&b, g.specs)
		}
		b.WriteString("\nglobal options\n")
		params, err := p.globalParams(true)
		if err != nil {
			return err
		}
		writeOptions(&b, params, false)
		fmt.Fprintf(&b, "\n%[1]s help <command> shows the page of a command. %[1]s completion <shell> writes what a shell completes commands with.\n", p.name)
	}
	return p.print(b.String())
}

// group is a heading with the commands under it.
type group struct {
	title string
	specs []op.Spec
}

// groups sorts specs under their headings: known ones in their order, then others as they come.
func groups(specs []op.Spec) []group {
	var out []group
	add := func(title string) {
		for i := range out {
			if out[i].title == title {
				return
			}
		}
		out = append(out, group{title: title})
	}
	for _, g := range op.Groups() {
		add(g)
	}
	for _, s := range specs {
		add(s.Group)
		for i := range out {
			if out[i].title == s.Group {
				out[i].specs = append(out[i].specs, s)
			}
		}
	}
	kept := out[:0]
	for _, g := range out {
		if len(g.specs) > 0 {
			if g.title == "" {
				g.title = "other commands"
			}
			kept = append(kept, g)
		}
	}
	return kept
}

func writeCommands(b *strings.Builder, specs []op.Spec) {
	const least = 12
	width := least
	for _, s := range specs {
		width = max(width, len(lastWord(s)))
	}
	for _, s := range specs {
		fmt.Fprintf(b, "   %-*s  %s\n", width, lastWord(s), s.Short)
	}
}

func lastWord(s op.Spec) string { return s.Name[strings.LastIndexByte(s.Name, ' ')+1:] }

// page shows the help page of a verb, in the sections of a manual page.
func (p *Program) page(s op.Spec) error {
	var b strings.Builder
	full := joined(p.name, s.Name)
	fmt.Fprintf(&b, "NAME\n    %s - %s\n\nSYNOPSIS\n", full, s.Short)
	for _, u := range s.Synopsis(p.dolt()) {
		fmt.Fprintf(&b, "    %s\n", joined(full, u))
	}
	b.WriteString("\nDESCRIPTION\n")
	if s.Long != "" {
		writeText(&b, s.Long)
	} else {
		fmt.Fprintf(&b, "    %s.\n", s.Short)
	}
	if s.HasOptions(p.dolt()) {
		b.WriteString("\nOPTIONS\n")
		writeOptions(&b, s.Params, p.dolt())
	}
	if kids := p.children(s.Name); len(kids) > 0 {
		b.WriteString("\nCOMMANDS\n")
		writeCommands(&b, kids)
	}
	if len(s.Examples) > 0 {
		b.WriteString("\nEXAMPLES\n")
		for i, e := range s.Examples {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "    %s:\n        %s %s\n", e.Help, p.name, e.Args)
		}
	}
	return p.print(b.String())
}

// writeOptions lists the flags, and the arguments that have a help text.
func writeOptions(b *strings.Builder, params []op.Param, dolt bool) {
	for _, flags := range []bool{false, true} {
		for i := range params {
			q := &params[i]
			isFlag := q.Flag != "" || q.Short != ""
			if !q.Listed(dolt) || isFlag != flags || !isFlag && q.Help == "" {
				continue
			}
			head := q.Signature()
			help := q.Help
			if q.Default != "" && !(q.HasLeast && strings.HasPrefix(q.Default, "-")) {
				help = strings.TrimSpace(help + " (default " + q.Default + ")")
			}
			const indent, column = 4, 32
			if len(head) < column-indent-1 {
				fmt.Fprintf(b, "    %-*s", column-indent, head)
				writeWrapped(b, help, column, column)
				continue
			}
			fmt.Fprintf(b, "    %s\n", head)
			if help != "" {
				writeWrapped(b, help, 0, column)
			}
		}
	}
}

// writeText writes paragraphs with an indent. Lines of a paragraph are joined and wrapped; lines that begin with spaces stay.
func writeText(b *strings.Builder, text string) {
	const indent = 4
	for i, para := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if strings.HasPrefix(para, " ") {
			for _, l := range strings.Split(para, "\n") {
				fmt.Fprintf(b, "%*s%s\n", indent, "", l)
			}
			continue
		}
		writeWrapped(b, strings.Join(strings.Fields(para), " "), 0, indent)
	}
}

// writeWrapped writes text from the column at on, wrapping at lineWidth to lines that begin at indent.
func writeWrapped(b *strings.Builder, text string, at, indent int) {
	for i, w := range strings.Fields(text) {
		switch {
		case i > 0 && at+1+len(w) > lineWidth:
			fmt.Fprintf(b, "\n%*s", indent, "")
			at = indent
		case i > 0:
			b.WriteByte(' ')
			at++
		case at < indent:
			fmt.Fprintf(b, "%*s", indent-at, "")
			at = indent
		}
		b.WriteString(w)
		at += len(w)
	}
	b.WriteByte('\n')
}

// print writes text to standard output.
func (p *Program) print(text string) error {
	if _, err := p.Out.Write([]byte(text)); err != nil {
		return errs.New(errs.Internal, "write help: %w", err)
	}
	return nil
}
