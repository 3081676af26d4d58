package cli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/vfs"
)

// globals are the flags that every command takes, before its name or, but for those of where it works, behind it.
type globals struct {
	Dir    string `flag:"data-dir,C" value:"dir" help:"work in this directory, or read the remote at this URL"`
	Format string `flag:"result-format,r" alias:"format" enum:"tabular,csv,json,vertical" help:"draw the answer in this form"`
	Quiet  bool   `flag:"quiet,q" help:"show no progress and no hints"`
	Help   bool   `flag:"help,h" help:"show the help page"`
	Show   bool   `flag:"version" help:"show the version"`

	Use      string `flag:"use-db" value:"name" help:"work in the database of this name in the directory, or on db/branch"`
	Branch   string `flag:"branch" value:"branch" complete:"branch" help:"work on this branch instead of the checked-out one"`
	Host     string `flag:"host" value:"address" help:"sql: run the statements on the server there (default localhost)"`
	Port     int    `flag:"port" least:"1" help:"sql: run them on the server on this port (default 3306)"`
	User     string `flag:"user,u" value:"name" help:"sql: who comes in there (default root)"`
	Password string `flag:"password,p" value:"text" help:"sql: their password; better in STEMMA_PASSWORD"`
	NoTLS    bool   `flag:"no-tls" help:"sql: do not encrypt the connection, even if the server can"`
}

// leadingOnly are the globals that stand before the verb: behind it flags of these names are its own.
var leadingOnly = []string{"version", "use_db", "branch", "host", "port", "user", "password", "no_tls"}

// globalParams are the parameters of globals: those that may stand before the verb, or those that may stand behind it.
func (p *Program) globalParams(leading bool) ([]op.Param, error) {
	params, err := op.ParamsOf(&p.globals)
	if err != nil {
		return nil, errs.New(errs.Internal, "read global flags: %w", err)
	}
	if !leading {
		params = slices.DeleteFunc(params, func(q op.Param) bool { return slices.Contains(leadingOnly, q.Name) })
	}
	return params, nil
}

// leading is the error about a flag behind the verb that is one of those before it; nil when words, those behind the verb, have none such.
func (p *Program) leading(spec op.Spec, words []string) error {
	params, err := p.globalParams(true)
	if err != nil {
		return err
	}
	for _, w := range words {
		if w == "--" {
			return nil
		}
		flag, _, _ := strings.Cut(w, "=")
		for _, q := range params {
			own := func(x op.Param) bool { return x.Flag == q.Flag }
			if flag != "--"+q.Flag || !slices.Contains(leadingOnly, q.Name) || slices.ContainsFunc(spec.Params, own) {
				continue
			}
			word := "--" + q.Flag
			if q.Kind != op.Bool {
				word += " <" + q.Placeholder() + ">"
			}
			return errs.New(errs.Invalid, "%s: --%s stands before the command: %s %s %s", spec.Name, q.Flag, p.name, word, spec.Name)
		}
	}
	return nil
}

// distant tells whether statements are to be run by a server that is reached over the network.
func (g *globals) distant() bool { return g.Host != "" || g.Port != 0 }

// aim makes the program work where --use-db says, and refuses --host and what goes with it for verbs that work on a directory.
func (p *Program) aim(spec op.Spec, verb op.Op) error {
	g := &p.globals
	v, isSQL := verb.(*sqlVerb)
	switch {
	case g.Port > maxPort:
		return errs.New(errs.Invalid, "%s: --port %d: want 1 to %d", spec.Name, g.Port, maxPort)
	case g.distant() && !isSQL:
		return errs.New(errs.Unsupported, "%s: --host and --port go with sql, whose CALL has the verbs as procedures", spec.Name)
	case !g.distant() && (g.Password != "" || g.NoTLS || g.User != "" && g.User != "root"):
		return errs.New(errs.Invalid, "%s: --user, --password and --no-tls go with --host or --port: whoever may read the directory needs no user", spec.Name)
	}
	if g.Use == "" {
		return nil
	}
	if g.distant() {
		if v.Use == "" {
			v.Use = g.Use
		}
		return nil
	}
	name, branch, found := strings.Cut(g.Use, "/")
	if found && g.Branch == "" {
		g.Branch = branch
	}
	if _, ok, err := findDatabase(p.dir); err != nil || ok && filepath.Base(p.dir) == name {
		return err
	}
	names, err := databasesIn(vfs.OS{}, p.dir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return errs.WithMeant(errs.New(errs.NotFound, "database not found: %s", name), errs.Nearest(name, names))
	}
	p.dir = filepath.Join(p.dir, name)
	return nil
}
