package catalog

import (
	"cmp"
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
)

// tables are where tables are found by name: a transaction's part, or a Reader.
type tables interface {
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
}

// rules are the rules of dolt_nonlocal_tables.
func rules(ctx context.Context, in tables) ([]repo.Nonlocal, error) {
	v, _, ok, err := in.Table(ctx, repo.NonlocalTable)
	if err != nil || !ok {
		return nil, err
	}
	return repo.NonlocalRules(ctx, v)
}

// target is the database whose tables a rule means.
func (d *Database) target(ctx *sql.Context, rule *repo.Nonlocal) (*session.Handle, error) {
	if err := rule.Check(); err != nil {
		return nil, err
	}
	if rule.Ref == "" {
		return d.h, nil
	}
	s, err := session.Of(ctx)
	if err != nil {
		return nil, err
	}
	return s.Handle(ctx, d.h.Base()+"/"+rule.Ref)
}

// nonlocal is the table of another ref that a rule gives the name; ok is false when none does, or the ref has no such table. It can be
// written when the ref is a branch and write is set.
func (d *Database) nonlocal(ctx *sql.Context, in tables, name string, write bool) (t sql.Table, ok bool, err error) {
	rule, err := repo.NonlocalRule(ctx, in, name)
	if err != nil || rule == nil {
		return nil, false, err
	}
	h, err := d.target(ctx, rule)
	if err != nil {
		return nil, false, err
	}
	part, err := h.Part(ctx)
	if err != nil {
		return nil, false, err
	}
	var from tables = part
	if part == nil {
		if from, err = h.Reader(ctx); err != nil {
			return nil, false, err
		}
	}
	v, stored, ok, err := from.Table(ctx, cmp.Or(rule.Table, name))
	if err != nil || !ok {
		return nil, false, err
	}
	shown := stored
	if rule.Table != "" {
		shown = name
	}
	def, err := d.p.defs.GetAs(v.Schema(), d.name, shown, stored, h.Name())
	if err != nil {
		return nil, false, err
	}
	s, err := session.Of(ctx)
	if err != nil {
		return nil, false, err
	}
	at := &sqltable.Origin{Repo: h.Repo(), Ref: rule.Ref}
	if at.Commit, err = h.Head(ctx); err != nil {
		return nil, false, err
	}
	switch def = def.For(s); {
	case part != nil:
		return sqltable.Open(d.p.defs, def, part, write && h.Writable()), true, nil
	case write:
		return sqltable.Frozen(def, v).From(at), true, nil
	}
	return sqltable.New(def, v).From(at), true, nil
}

// nonlocalNames are the names of the tables that the rules give.
func (d *Database) nonlocalNames(ctx *sql.Context, in registry.Reader) ([]string, error) {
	all, err := rules(ctx, in)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range all {
		rule := &all[i]
		h, err := d.target(ctx, rule)
		if err != nil {
			continue // said by the statement that names the table
		}
		r, err := h.Reader(ctx)
		if err != nil {
			return nil, err
		}
		if rule.Table != "" {
			if _, _, ok, err := r.Table(ctx, rule.Table); err != nil {
				return nil, err
			} else if ok {
				out = append(out, rule.Name)
			}
			continue
		}
		names, err := r.TableNames(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if rule.Matches(n) && !root.IsSystem(n) {
				out = append(out, n)
			}
		}
	}
	return out, nil
}
