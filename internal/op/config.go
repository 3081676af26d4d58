package op

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Config is the verb that reads and changes settings.
type Config struct {
	Global bool     `flag:"global" help:"use the user's settings only"`
	Local  bool     `flag:"local" help:"use the database's settings only"`
	Add    bool     `flag:"add" hidden:"true" help:"the same as --set"`
	Set    bool     `flag:"set" help:"set each name to the value behind it"`
	Get    bool     `flag:"get" help:"show the value of a name; exit with 1 when it has none"`
	Unset  bool     `flag:"unset" help:"forget the names"`
	List   bool     `flag:"list,l" help:"show all names and values"`
	Args   []string `arg:"rest" help:"names, and values for --set"`
}

func configSpec() Spec {
	return Define[Config](Spec{
		Name: "config", Group: GroupSelf,
		Short: "Get and set options of a database or of all",
		Long: `Settings are kept in two files, the user's and the database's. Reading looks into the database's first. Writing goes to the
database's unless --global is given.

A name alone is shown, a name with a value is set, as with --get and --set.

Names that stemma knows:

  user.name           author of commits
  user.email          mail address of that author
  init.defaultbranch  first branch of a new database (main)
  gc.auto             off: garbage is never collected by itself (on)
  gc.growth           by how many per cent a database that is kept open, by a server or a Python program, has grown when garbage is
                      collected by itself (100)
  push.autosetupremote
                      on: a push of a branch that follows none goes to the remote's branch of its name, and the branch follows that (off)
  core.editor         command of the editor for messages of commits and plans of rebases; STEMMA_EDITOR goes before it, and on a terminal
                      VISUAL and EDITOR come behind

When user.name or user.email is not set, STEMMA_AUTHOR_NAME and STEMMA_AUTHOR_EMAIL are taken, and then the operating system's user.`,
		Usage: []string{
			"[--global | --local] --list",
			"[--global | --local] [--get] <name>",
			"[--global | --local] [--set] <name> <value> [<name> <value>]...",
			"[--global | --local] --unset <name>...",
		},
		Examples: []Example{
			{`config --global --set user.name "Ada Lovelace"`, "who makes commits, in every database"},
			{`config --list`, "everything that is set"},
		},
	})
}

// Run reads or changes settings.
func (c *Config) Run(_ context.Context, s *Scope) (*Result, error) {
	if c.Global && c.Local {
		return nil, errs.New(errs.Invalid, "config: --global and --local exclude each other")
	}
	set, get := c.Set || c.Add, c.Get
	n := 0
	for _, b := range []bool{set, get, c.Unset, c.List} {
		if b {
			n++
		}
	}
	if n == 0 {
		get, set = len(c.Args) == 1, len(c.Args) > 1
	}
	if n > 1 || n == 0 && len(c.Args) == 0 {
		return nil, errs.New(errs.Invalid, "config: exactly one of --set, --get, --unset and --list must be given")
	}
	switch {
	case set:
		return c.set(s)
	case get:
		return c.get(s)
	case c.Unset:
		return c.unset(s)
	}
	return c.list(s)
}

func (c *Config) set(s *Scope) (*Result, error) {
	if len(c.Args) == 0 || len(c.Args)%2 != 0 {
		return nil, c.wrongNumber("--set takes names, each with a value")
	}
	for i := 0; i < len(c.Args); i += 2 {
		if err := checkName(c.Args[i]); err != nil {
			return nil, err
		}
		if err := checkValue(c.Args[i], c.Args[i+1]); err != nil {
			return nil, err
		}
	}
	path, err := c.target(s.Settings)
	if err != nil {
		return nil, err
	}
	err = changeSettings(path, func(m map[string]string) {
		for i := 0; i < len(c.Args); i += 2 {
			m[normalName(c.Args[i])] = c.Args[i+1]
		}
	})
	if err != nil {
		return nil, err
	}
	return Say("Config successfully updated."), nil
}

func (c *Config) get(s *Scope) (*Result, error) {
	if len(c.Args) != 1 {
		return nil, c.wrongNumber("--get takes one name")
	}
	v, ok, err := c.sources(s.Settings).Get(c.Args[0])
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: []Column{Text("value")}, Lines: []string{}}
	if !ok {
		r.ExitCode = 1
		return r, nil
	}
	r.Lines = append(r.Lines, v)
	r.Add(v)
	return r, nil
}

func (c *Config) unset(s *Scope) (*Result, error) {
	if len(c.Args) == 0 {
		return nil, c.wrongNumber("--unset takes names")
	}
	path, err := c.target(s.Settings)
	if err != nil {
		return nil, err
	}
	err = changeSettings(path, func(m map[string]string) {
		for _, name := range c.Args {
			delete(m, normalName(name))
		}
	})
	if err != nil {
		return nil, err
	}
	return Say("Config successfully updated."), nil
}

func (c *Config) list(s *Scope) (*Result, error) {
	if len(c.Args) != 0 {
		return nil, c.wrongNumber("--list takes no names")
	}
	r := &Result{Columns: []Column{Text("name"), Text("value"), Text("scope")}, Lines: []string{}}
	from := c.sources(s.Settings)
	for _, f := range []struct{ path, scope string }{{from.Local, "local"}, {from.Global, "global"}} {
		m, err := readSettings(f.path)
		if err != nil {
			return nil, err
		}
		delete(m, previousSetting)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			r.Lines = append(r.Lines, name+" = "+m[name])
			r.Add(name, m[name], f.scope)
		}
	}
	return r, nil
}

// sources are the files that c reads.
func (c *Config) sources(all Settings) Settings {
	switch {
	case c.Global:
		all.Local = ""
	case c.Local:
		all.Global = ""
	}
	return all
}

// target is the file that c writes.
func (c *Config) target(all Settings) (string, error) {
	if c.Global {
		if all.Global == "" {
			return "", errs.New(errs.NotFound, "config: the user's directory of settings is unknown; set STEMMA_HOME")
		}
		return all.Global, nil
	}
	if all.Local == "" {
		return "", errs.New(errs.NotFound, "config: there is no database here whose settings could change; use --global")
	}
	return all.Local, nil
}

// wrongNumber begins with Dolt's words, for which scripts look.
func (c *Config) wrongNumber(want string) error {
	return errs.New(errs.Invalid, "config: wrong number of arguments: %s", want)
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, " \t\r\n=") || strings.HasPrefix(name, "-") {
		return errs.New(errs.Invalid, "config: %q cannot be a name", name)
	}
	return nil
}
