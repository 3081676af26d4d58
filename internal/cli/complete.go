package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// shells are the shells for which completion scripts can be written.
var shells = [...]string{"bash", "zsh", "fish", "powershell"}

// completion is the command that writes the script by which a shell completes commands.
func (p *Program) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion <shell>", Short: "Write what a shell completes commands with", DisableFlagParsing: true,
		ValidArgs: shells[:],
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return p.help([]string{"completion"})
			}
			if len(args) == 1 {
				switch args[0] {
				case "bash":
					return c.Root().GenBashCompletionV2(p.Out, true)
				case "zsh":
					return c.Root().GenZshCompletion(p.Out)
				case "fish":
					return c.Root().GenFishCompletion(p.Out, true)
				case "powershell":
					return c.Root().GenPowerShellCompletionWithDesc(p.Out)
				}
			}
			return errs.New(errs.Invalid, "completion: want the name of a shell: %s\nsee: %s help completion", strings.Join(shells[:], ", "), p.name)
		},
	}
}

// completionPage is the help of completion.
func completionPage(program string) string {
	return strings.ReplaceAll(`NAME
    PROGRAM completion - Write what a shell completes commands with

SYNOPSIS
    PROGRAM completion bash|zsh|fish|powershell

DESCRIPTION
    Commands, flags and their values are then completed by the tabulator key. For this session:

        source <(PROGRAM completion bash)
        source <(PROGRAM completion zsh)
        PROGRAM completion fish | source

    For all sessions:

        PROGRAM completion bash > ~/.local/share/bash-completion/completions/PROGRAM
        PROGRAM completion zsh > "${fpath[1]}/_PROGRAM"
        PROGRAM completion fish > ~/.config/fish/completions/PROGRAM.fish
`, "PROGRAM", program)
}

// complete offers what may follow args, the words behind the verb's name, given the beginning of the next word: flags, the values of
// a flag, or files.
func (p *Program) complete(ctx context.Context, s op.Spec, args []string, word string) ([]string, cobra.ShellCompDirective) {
	params, err := p.completable(s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	if name, val, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "--") {
		if q := byFlag(params, name); q != nil && len(q.Enum) > 0 {
			return matching(q.Enum, val, name+"="), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	if len(args) > 0 {
		if q := byFlag(params, args[len(args)-1]); q != nil && !q.HasBare {
			return p.values(ctx, q, word)
		}
	}
	if strings.HasPrefix(word, "-") {
		return flags(params, word, p.dolt()), cobra.ShellCompDirectiveNoFileComp
	}
	if q := byPlace(params, args); q != nil {
		return p.values(ctx, q, word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// byPlace is the parameter that the next word is for, which is no flag; nil when there is none.
func byPlace(params []op.Param, args []string) *op.Param {
	place, dash := 1, false
	for i := 0; i < len(args); i++ {
		switch word := args[i]; {
		case dash || word == "-" || !strings.HasPrefix(word, "-"):
			place++
		case word == "--":
			dash = true
		default:
			if q := byFlag(params, word); q != nil && !q.HasBare {
				i++ // its value
			}
		}
	}
	want := []int{place, op.RestArgs}
	if dash {
		want = append([]int{op.AfterDash}, want...)
	}
	for _, w := range want {
		for i := range params {
			if params[i].Arg == w {
				return &params[i]
			}
		}
	}
	return nil
}

// completable are the parameters of the verb and the global ones.
func (p *Program) completable(s op.Spec) ([]op.Param, error) {
	g, err := p.globalParams(false)
	if err != nil {
		return nil, err
	}
	return append(append([]op.Param(nil), s.Params...), g...), nil
}

// values are the values of a parameter that begin with word.
func (p *Program) values(ctx context.Context, q *op.Param, word string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(q.Enum) > 0:
		return matching(q.Enum, word, ""), cobra.ShellCompDirectiveNoFileComp
	case q.Complete == "dir" || q.Flag == "data-dir":
		return nil, cobra.ShellCompDirectiveFilterDirs
	case q.Complete == "" || q.Complete == "file":
		if q.Kind == op.Int || q.Kind == op.Duration || q.Kind == op.Time {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, err := p.namesOf(ctx, q.Complete)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return matching(names, word, ""), cobra.ShellCompDirectiveNoFileComp
}

// namesOf are the names of a kind in the database of the directory, which is read beside its owner; without a database there are none.
func (p *Program) namesOf(ctx context.Context, kind string) ([]string, error) {
	scope, _, err := p.scope()
	if err != nil || scope.Settings.Local == "" {
		return nil, err
	}
	scope.Repo, err = repo.Open(ctx, vfs.OS{}, scope.Dir, repo.Options{ReadOnly: true, Clock: scope.Clock})
	if err != nil {
		return nil, err
	}
	names, err := scope.Names(ctx, kind)
	return names, errors.Join(err, scope.Repo.Close(ctx))
}

// byFlag is the parameter that the word, with its dashes, names.
func byFlag(params []op.Param, word string) *op.Param {
	for i := range params {
		q := &params[i]
		if q.Short != "" && word == "-"+q.Short || q.Flag != "" && word == "--"+q.Flag {
			return q
		}
		for _, a := range q.Aliases {
			if word == "--"+a {
				return q
			}
		}
	}
	return nil
}

// flags are the long flags that begin with word, each with its help behind a tab.
func flags(params []op.Param, word string, dolt bool) []string {
	var out []string
	seen := map[string]bool{}
	for i := range params {
		q := &params[i]
		if f := "--" + q.Flag; q.Flag != "" && q.Listed(dolt) && strings.HasPrefix(f, word) && !seen[f] {
			seen[f] = true
			out = append(out, f+"\t"+q.Help)
		}
	}
	return out
}

func matching(words []string, prefix, before string) []string {
	var out []string
	for _, w := range words {
		if strings.HasPrefix(w, prefix) {
			out = append(out, before+w)
		}
	}
	return out
}

// completeHelp offers the names of commands.
func (p *Program) completeHelp(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, s := range p.children(strings.Join(args, " ")) {
		if w := lastWord(s); strings.HasPrefix(w, word) {
			out = append(out, w+"\t"+s.Short)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
