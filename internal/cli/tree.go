package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// tree makes cobra's commands from the specs.
func (p *Program) tree() *cobra.Command {
	root := &cobra.Command{
		Use:                p.name,
		Short:              "A version-controlled SQL database",
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableFlagParsing: true,
		Args:               cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return p.unknown(args[0], "", p.children(""))
			}
			return p.welcome()
		},
	}
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.SetIn(p.In)
	root.CompletionOptions.DisableDefaultCmd = true
	commands := map[string]*cobra.Command{"": root}
	for _, s := range p.specs() {
		c := p.command(s)
		parent := commands[parentName(s.Name)]
		parent.AddCommand(c)
		commands[s.Name] = c
	}
	help := &cobra.Command{
		Use: "help [<command>]", Short: "Show what a command does", DisableFlagParsing: true,
		RunE:              func(_ *cobra.Command, args []string) error { return p.help(args) },
		ValidArgsFunction: p.completeHelp,
	}
	root.SetHelpCommand(help)
	root.AddCommand(p.completion())
	return root
}

// specs are the specs, with this package's own and one for every parent that has none; parents come before their children.
func (p *Program) specs() []op.Spec {
	out := append(slices.Clone(p.Specs), p.sqlSpec(), p.queryDiffSpec(), p.serverSpec(), p.serveSpec(), p.apartSpec())
	for _, s := range p.Specs {
		if parent := parentName(s.Name); parent != "" {
			if _, ok := op.Find(out, parent); !ok {
				out = append(out, op.Spec{Name: parent, Group: s.Group, Short: "Commands for " + plural(parent), Hidden: s.Hidden})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b op.Spec) int { return len(a.Words()) - len(b.Words()) })
	return out
}

// plural is the word for several of what a parent's name says.
func plural(word string) string {
	if strings.HasSuffix(word, "s") || word == "data" {
		return word
	}
	return word + "s"
}

// parentName is the name without its last word.
func parentName(name string) string {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return ""
	}
	return name[:i]
}

// children are the visible specs directly below parent.
func (p *Program) children(parent string) []op.Spec {
	var out []op.Spec
	for _, s := range p.specs() {
		if parentName(s.Name) == parent && !s.Hidden {
			out = append(out, s)
		}
	}
	return out
}

func (p *Program) command(s op.Spec) *cobra.Command {
	words := s.Words()
	return &cobra.Command{
		Use:                words[len(words)-1],
		Short:              s.Short,
		Hidden:             s.Hidden,
		DisableFlagParsing: true,
		Args:               cobra.ArbitraryArgs,
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			return p.complete(c.Context(), s, args, word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if s.New != nil {
				return p.exec(c.Context(), s, args)
			}
			return p.gather(s, args)
		},
	}
}

// gather is what a command that only gathers others does.
func (p *Program) gather(s op.Spec, args []string) error {
	if len(args) > 0 && args[0] != "--help" && args[0] != "-h" {
		return p.unknown(args[0], s.Name, p.children(s.Name))
	}
	if err := p.list(s); err != nil {
		return err
	}
	if len(args) == 0 {
		p.status = exitUsage
	}
	return nil
}

// unknown is the error for a word that names no command below parent.
func (p *Program) unknown(word, parent string, siblings []op.Spec) error {
	if strings.HasPrefix(word, "-") {
		return errs.New(errs.Invalid, "%s: unknown flag %s\nsee: %s help", joined(p.name, parent), word, joined(p.name, parent))
	}
	names := []string{}
	if parent == "" {
		names = append(names, "help", "completion")
	}
	for _, s := range siblings {
		names = append(names, s.Words()[len(s.Words())-1])
	}
	msg := fmt.Sprintf("%s is not a command of %s", word, joined(p.name, parent))
	near := errs.Nearest(word, names)
	if len(near) == 0 {
		msg += fmt.Sprintf("\nsee: %s", joined(p.name, "help", parent))
	}
	for i, n := range near {
		near[i] = joined(p.name, parent, n)
	}
	msg += errs.DidYouMean(near)
	return errs.New(errs.Invalid, "%s", msg)
}

// joined is the words that are not empty, with spaces between.
func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
