// Package catalog shows the SQL engine which databases, tables, functions and procedures there are, and makes and drops them.
package catalog

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options say where databases are and what is plugged in.
type Options struct {
	// Repos are databases that are open already. They stay open when the provider is closed.
	Repos []*repo.Repo
	// FS and Dir are where databases are found and made: each directory in Dir that holds one is a database. Without Dir no
	// databases can be made.
	FS  vfs.FS
	Dir string
	// Repo steers how the databases in Dir are opened.
	Repo       repo.Options
	Registries registry.Registries
	// Opened, when set, is told of each database that CREATE DATABASE has made, and Closing of each that DROP DATABASE is about to
	// close, which no statement finds any more.
	Opened, Closing func(*repo.Repo)
	// Fixed refuses to make, drop and restore databases, and says why; empty when it does not.
	Fixed string
}

// Provider finds databases, functions and procedures. It is used by many goroutines.
type Provider struct {
	opt   Options
	defs  *sqltable.Defs
	procs sql.ExternalStoredProcedureRegistry
	funcs map[string]sql.Function
	tfs   map[string]sql.TableFunction

	mu      *sync.RWMutex
	dbs     map[string]*entry // by lower-case name
	leftOut []LeftOut
}

// LeftOut is a directory that holds a database which cannot be opened.
type LeftOut struct {
	Name string
	Err  error // says which database it is and what is wrong with it
}

// entry is a database.
type entry struct {
	repo          *repo.Repo
	name          string
	defaultBranch string
	owned         bool // opened here
	collation     sql.CollationID
}

var (
	_ sql.DatabaseProvider                = (*Provider)(nil)
	_ sql.MutableDatabaseProvider         = (*Provider)(nil)
	_ sql.CollatedDatabaseProvider        = (*Provider)(nil)
	_ sql.FunctionProvider                = (*Provider)(nil)
	_ sql.TableFunctionProvider           = (*Provider)(nil)
	_ sql.ExternalStoredProcedureProvider = (*Provider)(nil)
	_ session.Databases                   = (*Provider)(nil)
)

// New opens the databases and makes the provider of them. Of those in Dir it leaves out what cannot be opened, for another reason than
// that another process owns it: see LeftOut.
func New(ctx context.Context, opt Options) (*Provider, error) {
	p := &Provider{
		opt: opt, defs: &sqltable.Defs{}, mu: &sync.RWMutex{}, dbs: map[string]*entry{}, procs: sql.NewExternalStoredProcedureRegistry(),
		funcs: map[string]sql.Function{}, tfs: map[string]sql.TableFunction{},
	}
	for _, f := range opt.Registries.Functions {
		p.funcs[strings.ToLower(f.FunctionName())] = f
	}
	for _, f := range opt.Registries.TableFunctions {
		p.tfs[strings.ToLower(f.Name())] = f
	}
	for _, d := range opt.Registries.Procedures {
		p.procs.Register(d)
	}
	for _, r := range opt.Repos {
		p.add(r, false)
	}
	if opt.Dir == "" {
		return p, nil
	}
	if err := p.openAll(ctx); err != nil {
		return nil, errs.New(errs.CodeOf(err), "open databases in %s: %w", opt.Dir, err)
	}
	return p, nil
}

func (p *Provider) openAll(ctx context.Context) error {
	names, err := p.opt.FS.ReadDir(p.opt.Dir)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	for _, n := range names {
		dir := filepath.Join(p.opt.Dir, n)
		place, err := repo.Locate(p.opt.FS, dir)
		if err != nil {
			continue // no database of ours
		}
		if twin := p.twin(n); twin != nil && twin.repo.Dir() == place {
			continue
		} else if twin != nil {
			err := errs.New(errs.Exists, "the databases %s and %s have the same name to SQL, where case does not count and _ stands for - as well: rename one of the directories", twin.repo.Dir(), place)
			return errors.Join(err, p.Close(ctx))
		}
		r, err := repo.Open(ctx, p.opt.FS, dir, p.opt.Repo)
		if err != nil && !errs.Is(err, errs.Locked) && ctx.Err() == nil {
			p.leftOut = append(p.leftOut, LeftOut{n, errs.New(errs.CodeOf(err), "the database %s is left out: %w", n, err)})
			continue
		}
		if err != nil {
			if e := p.Close(ctx); e != nil {
				return errs.New(errs.CodeOf(err), "%w (and: %w)", err, e)
			}
			return err
		}
		p.add(r, true)
	}
	return nil
}

// twin is the database that statements could mean by that name; nil when there is none. The caller holds mu.
func (p *Provider) twin(name string) *entry {
	for _, e := range p.dbs {
		if plain(e.name) == plain(name) {
			return e
		}
	}
	return nil
}

// plain is what the names have in common by which statements may call a database.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// add makes a database known.
func (p *Provider) add(r *repo.Repo, owned bool) {
	p.dbs[strings.ToLower(r.Name())] = &entry{
		repo: r, name: r.Name(), defaultBranch: r.CheckedOut(), owned: owned, collation: sql.Collation_Default,
	}
	session.RegisterVariables(r.Name())
}

// Close closes the databases that were opened here.
func (p *Provider) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first error
	for _, e := range p.dbs {
		if !e.owned {
			continue
		}
		if err := e.repo.Close(ctx); first == nil {
			first = err
		}
	}
	p.dbs = map[string]*entry{}
	return first
}

// find is a database by its name without a revision.
func (p *Provider) find(name string) *entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l := strings.ToLower(name)
	if e := p.dbs[l]; e != nil || !strings.Contains(l, "_") {
		return e
	}
	// '_' for '-', which a name without quotes cannot hold.
	for n, e := range p.dbs {
		if strings.ReplaceAll(n, "-", "_") == l {
			return e
		}
	}
	return nil
}

// Lookup implements session.Databases.
func (p *Provider) Lookup(name string) (*repo.Repo, string, bool) {
	e := p.find(name)
	if e == nil {
		return nil, "", false
	}
	return e.repo, e.name, true
}

// Refusal implements session.Databases.
func (p *Provider) Refusal(name string) error {
	for _, l := range p.leftOut {
		if plain(l.Name) == plain(name) && p.find(name) == nil {
			return l.Err
		}
	}
	return nil
}

// LeftOut are the databases that could not be opened.
func (p *Provider) LeftOut() []LeftOut { return p.leftOut }

// DefaultBranch implements session.Databases.
func (p *Provider) DefaultBranch(canonical string) string {
	if e := p.find(canonical); e != nil {
		return e.defaultBranch
	}
	return ""
}

// Database implements sql.DatabaseProvider: name may hold a revision behind '/' or '@'.
func (p *Provider) Database(ctx *sql.Context, name string) (sql.Database, error) {
	s, err := session.Of(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.Handle(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Database{p: p, h: h, name: p.displayName(h, name)}, nil
}

// displayName is the name of a database as statements show it: its own for the part without revision.
func (p *Provider) displayName(h *session.Handle, name string) string {
	base, _ := session.SplitName(name)
	return h.Base() + name[len(base):]
}

// HasDatabase implements sql.DatabaseProvider.
func (p *Provider) HasDatabase(ctx *sql.Context, name string) bool {
	s, err := session.Of(ctx)
	if err != nil {
		base, _ := session.SplitName(name)
		return p.find(base) != nil
	}
	_, err = s.Handle(ctx, name)
	return err == nil
}

// Names are the names of the databases, sorted.
func (p *Provider) Names() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	names := make([]string, 0, len(p.dbs))
	for _, e := range p.dbs {
		names = append(names, e.name)
	}
	sort.Strings(names)
	return names
}

// AllDatabases implements sql.DatabaseProvider: those without a revision, sorted; where the session shows branches, each is followed by
// those of its branches.
func (p *Provider) AllDatabases(ctx *sql.Context) []sql.Database {
	names := p.Names()
	if s, err := session.Of(ctx); err == nil && s.ShowsBranches(ctx) {
		names = p.withBranches(names)
	}
	// The database that a session is in is listed by the name under which it is in it, as Dolt does: tools look in information_schema for
	// the tables of DATABASE().
	if cur := ctx.GetCurrentDatabase(); strings.ContainsAny(cur, "/@") && !slices.Contains(names, cur) {
		names = append(slices.Clone(names), cur)
	}
	out := make([]sql.Database, 0, len(names))
	for _, n := range names {
		if db, err := p.Database(ctx, n); err == nil {
			out = append(out, db)
		}
	}
	return out
}

// withBranches is the names of databases with those of their branches.
func (p *Provider) withBranches(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n)
		if r, _, ok := p.Lookup(n); ok {
			for _, b := range r.Branches() {
				out = append(out, n+"/"+b.Name)
			}
		}
	}
	return out
}

// CreateDatabase implements sql.MutableDatabaseProvider.
func (p *Provider) CreateDatabase(ctx *sql.Context, name string) error {
	return p.CreateCollatedDatabase(ctx, name, sql.Collation_Default)
}

// CreateCollatedDatabase implements sql.CollatedDatabaseProvider.
func (p *Provider) CreateCollatedDatabase(ctx *sql.Context, name string, collation sql.CollationID) error {
	if err := p.fixed("create database " + name); err != nil {
		return session.Error(err)
	}
	if p.opt.Dir == "" || p.opt.Repo.ReadOnly {
		return session.Error(errs.New(errs.ReadOnly, "create database %s: no directory for databases is open for writing", name))
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := p.Refusal(name); err != nil {
		return err
	}
	s, err := session.Of(ctx)
	if err != nil {
		return err
	}
	r, err := p.create(ctx, s, name, collation)
	if err == nil && p.opt.Opened != nil {
		p.opt.Opened(r)
	}
	return err
}

// fixed refuses what would change which databases there are, where these are fixed.
func (p *Provider) fixed(what string) error {
	if p.opt.Fixed == "" {
		return nil
	}
	return errs.New(errs.ReadOnly, "%s: %s", what, p.opt.Fixed)
}

// create makes and opens a database.
func (p *Provider) create(ctx *sql.Context, s *session.Session, name string, collation sql.CollationID) (*repo.Repo, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if twin := p.twin(name); twin != nil {
		return nil, sql.ErrDatabaseExists.New(twin.name)
	}
	author, err := s.Author(ctx)
	if err != nil {
		return nil, session.Error(err)
	}
	author.Time = p.now()
	dir := filepath.Join(p.opt.Dir, name)
	if err := repo.Init(ctx, p.opt.FS, dir, repo.InitOptions{Author: author, Committer: author}); err != nil {
		if errs.Is(err, errs.Exists) {
			return nil, sql.ErrDatabaseExists.New(name)
		}
		return nil, session.Error(err)
	}
	r, err := repo.Open(ctx, p.opt.FS, dir, p.opt.Repo)
	if err != nil {
		return nil, session.Error(err)
	}
	p.add(r, true)
	p.dbs[strings.ToLower(r.Name())].collation = collation
	return r, nil
}

// MakeDatabase implements op.MadeDatabases. Others can use their databases while fill works.
func (p *Provider) MakeDatabase(ctx context.Context, name string, fill func(fs vfs.FS, dir string) error) error {
	if err := p.fixed("make database " + name); err != nil {
		return err
	}
	if p.opt.Dir == "" || p.opt.Repo.ReadOnly {
		return errs.New(errs.ReadOnly, "make database %s: no directory for databases is open for writing", name)
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := p.Refusal(name); err != nil {
		return err
	}
	taken := func() error {
		if twin := p.twin(name); twin != nil {
			return errs.New(errs.Exists, "can't create database %s; database exists", twin.name)
		}
		return nil
	}
	p.mu.Lock()
	err := taken()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	dir := filepath.Join(p.opt.Dir, name)
	if err := fill(p.opt.FS, dir); err != nil {
		return err
	}
	r, err := func() (*repo.Repo, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := taken(); err != nil {
			return nil, err
		}
		r, err := repo.Open(ctx, p.opt.FS, dir, p.opt.Repo)
		if err == nil {
			p.add(r, true)
		}
		return r, err
	}()
	if err == nil && p.opt.Opened != nil {
		p.opt.Opened(r)
	}
	return err
}

// maxName is the greatest length of a database's name in bytes, as MySQL has it.
const maxName = 64

// checkName reports why a name cannot be that of a database and of a directory.
func checkName(name string) error {
	bad := name == "" || len(name) > maxName || strings.HasPrefix(name, ".") || strings.HasSuffix(name, " ")
	for _, c := range name {
		bad = bad || c < 0x20 || strings.ContainsRune(`/\@:*?"<>|`, c)
	}
	if bad {
		return errs.New(errs.Invalid, "'%s' cannot be the name of a database: it is empty, too long, begins with '.' or holds a character that directories cannot have", name)
	}
	return nil
}

// DropDatabase implements sql.MutableDatabaseProvider: it sets the directory of the database aside, from which
// Undrop brings it back.
func (p *Provider) DropDatabase(ctx *sql.Context, name string) error {
	e := p.find(name)
	if e == nil {
		return sql.ErrDatabaseNotFound.New(name)
	}
	if err := p.fixed("drop database " + name); err != nil {
		return session.Error(err)
	}
	if e.repo.ReadOnly() || !e.owned {
		return session.Error(errs.New(errs.ReadOnly, "drop database %s: it is not open for this", name))
	}
	if s, err := session.Of(ctx); err == nil {
		s.Forget(e.repo)
	}
	p.mu.Lock()
	delete(p.dbs, strings.ToLower(e.name))
	p.mu.Unlock()
	if p.opt.Closing != nil {
		p.opt.Closing(e.repo)
	}
	if err := e.repo.Close(ctx); err != nil {
		return session.Error(err)
	}
	return session.Error(p.setAside(e))
}

// Function implements sql.FunctionProvider.
func (p *Provider) Function(_ *sql.Context, _, name string) (sql.Function, bool) {
	f, ok := p.funcs[strings.ToLower(name)]
	return f, ok
}

// TableFunction implements sql.TableFunctionProvider.
func (p *Provider) TableFunction(_ *sql.Context, name string) (sql.TableFunction, bool) {
	f, ok := p.tfs[strings.ToLower(name)]
	return f, ok
}

// WithTableFunctions implements sql.TableFunctionProvider.
func (p *Provider) WithTableFunctions(fns ...sql.TableFunction) (sql.TableFunctionProvider, error) {
	c := *p
	c.tfs = map[string]sql.TableFunction{}
	for _, f := range fns {
		c.tfs[strings.ToLower(f.Name())] = f
	}
	return &c, nil
}

// ExternalStoredProcedure implements sql.ExternalStoredProcedureProvider.
func (p *Provider) ExternalStoredProcedure(_ *sql.Context, name string, params int) (*sql.ExternalStoredProcedureDetails, error) {
	return p.procs.LookupByNameAndParamCount(name, params)
}

// ExternalStoredProcedures implements sql.ExternalStoredProcedureProvider.
func (p *Provider) ExternalStoredProcedures(_ *sql.Context, name string) ([]sql.ExternalStoredProcedureDetails, error) {
	return p.procs.LookupByName(name)
}

// now is the time of commits.
func (p *Provider) now() time.Time {
	if p.opt.Repo.Clock != nil {
		return p.opt.Repo.Clock.Now()
	}
	return clock.System{}.Now()
}
