package op

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest/pull"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// dolt brings in the branches of a Dolt server.
func (c *Ingest) dolt(ctx context.Context, s *Scope) (_ *Result, err error) {
	d, err := pull.OpenDolt(ctx, c.Source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := d.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	p, err := newReplay(ctx, s, "dolt_commit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close(err == nil)) }()
	branches, err := d.Branches(ctx)
	if err != nil {
		return nil, err
	}
	commits, err := d.Commits(ctx, branches)
	if err != nil {
		return nil, err
	}
	task := s.Start("ingest commits", int64(len(commits)), "commits")
	defer func() { task.Done(err) }()
	for _, dc := range commits {
		task.Add(1)
		if _, ok := p.made[dc.Hash]; ok {
			continue
		}
		sig := history.Signature{Name: dc.Name, Email: dc.Email, Time: dc.Date}
		made := &history.Commit{Author: sig, Committer: sig, Message: dc.Message}
		err := p.commit(ctx, dc.Hash, dc.Parents, made, func(tx *repo.Tx) error { return c.doltTables(ctx, s, tx, d, dc) })
		if err != nil {
			return nil, err
		}
	}
	r := &Result{Columns: []Column{Text("branch"), Text("commit")}}
	for _, b := range branches {
		if err := p.branch(ctx, b.Name, p.made[b.Head]); err != nil {
			return nil, err
		}
		r.Add(b.Name, p.made[b.Head].String())
	}
	r.Printf("%d commits, %d of them new, on %d branches", len(commits), p.new, len(branches))
	return r, nil
}

// doltTables makes the tables that a commit changed.
func (c *Ingest) doltTables(ctx context.Context, s *Scope, tx *repo.Tx, d *pull.Dolt, dc *pull.DoltCommit) error {
	changed, err := d.Changed(ctx, dc)
	if err != nil {
		return err
	}
	for _, ch := range changed {
		if strings.HasPrefix(strings.ToLower(ch.To+ch.From), "dolt_") {
			continue // what Dolt keeps for itself
		}
		if ch.From != "" && ch.From != ch.To {
			if ch.To == "" {
				if err := tx.DropTable(ctx, ch.From); err != nil {
					return err
				}
				continue
			}
			if err := tx.RenameTable(ctx, ch.From, ch.To); err != nil {
				return err
			}
		}
		t, err := d.DescribeAt(ctx, ch.To, dc.Hash)
		if err != nil {
			return err
		}
		_, _, exists, err := tx.Table(ctx, ch.To)
		if err != nil {
			return err
		}
		var base *table.Table
		var old *schema.Schema
		if exists {
			if base, err = tx.FoldTable(ctx, ch.To); err != nil {
				return err
			}
			old = base.Schema.Schema
		}
		sch, err := t.Schema(old)
		if err != nil {
			return err
		}
		if base == nil || !sameTable(old, sch) {
			if base, err = emptyWith(sch, old); err != nil {
				return err
			}
		}
		read := func(ctx context.Context, fn func(fields [][]byte) error) error { return d.Read(ctx, t, fn) }
		tab, _, err := syncTable(ctx, s, tx, base, t, read, noTask{})
		if err != nil {
			return errs.New(errs.CodeOf(err), "table %s: %w", ch.To, err)
		}
		tx.NoteAnew(ch.To)
		if err := tx.PutTable(ctx, ch.To, tab); err != nil {
			return fmt.Errorf("table %s: %w", ch.To, err)
		}
	}
	return nil
}
