package session

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// Part is a transaction's part of one branch. It belongs to the session's goroutine.
type Part struct {
	owner     *Tx
	tx        *repo.Tx
	first     *repo.Savepoint // before the first change; nil without changes
	gen       int             // counts what makes editors invalid
	pinned    bool            // the transaction is the session owner's: see Session.Pin
	temporary bool            // of temporary tables: changes of their schemas are not committed by themselves
	// views are the tables that the present statement writes, by lower-case name, as they were when it began.
	views  map[string]*table.View
	noting notes
}

// notes are what a statement that is about to edit tables has to say of them, by lower-case name.
type notes struct {
	pid uint64 // of the statement
	of  map[string]func()
}

// Tx is the part's transaction. Changes must go through the methods of Part.
func (p *Part) Tx() *repo.Tx { return p.tx }

// Generation changes when editors that were got before must not be used any more.
func (p *Part) Generation() int { return p.gen }

// Table is the present view of a table; later edits show in it.
func (p *Part) Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error) {
	return p.tx.Table(ctx, name)
}

// Pinned is a view of a table that later edits do not touch; nil when there is no such table. Of a table that the present
// statement writes it is the state before the statement, so that a scan does not meet what the statement itself writes.
func (p *Part) Pinned(ctx context.Context, name string) (*table.View, error) {
	if len(p.views) > 0 {
		if v := p.views[strings.ToLower(name)]; v != nil {
			return v, nil
		}
	}
	return p.frozen(ctx, name)
}

func (p *Part) frozen(ctx context.Context, name string) (*table.View, error) {
	v, _, ok, err := p.tx.Table(ctx, name)
	if err != nil || !ok {
		return nil, err
	}
	if p.first == nil || v.Overlay() == nil {
		return v, nil
	}
	return v.WithOverlay(v.Overlay().Copy()), nil
}

// Editor is the editor of a table's rows, good until Generation changes.
func (p *Part) Editor(ctx context.Context, name string) (*table.Editor, error) {
	p.began()
	return p.tx.Editor(ctx, name)
}

func (p *Part) began() {
	if p.first == nil {
		p.first = p.tx.Savepoint()
	}
}

// Alter changes schemas. When fn fails its changes are taken back; those of an earlier step of the same statement are when the next
// statement begins, unless the statement ended with a commit.
func (p *Part) Alter(fn func(tx *repo.Tx) error) error {
	p.began()
	if !p.temporary && p.owner.ddl == nil {
		p.owner.ddl = p.owner.mark()
	}
	return p.Change(fn)
}

// Change changes a table as a whole, as Alter does, within a statement that does not end with a commit.
func (p *Part) Change(fn func(tx *repo.Tx) error) error {
	p.began()
	sp := p.tx.Savepoint()
	p.gen++
	err := fn(p.tx)
	if err != nil {
		p.tx.RollbackTo(sp)
	}
	return Error(err)
}

// NoteOrigins takes note from which columns a statement of a run that is about to edit a table makes its columns. It is undone with the
// statement.
func (p *Part) NoteOrigins(ctx *sql.Context, by lineage.Current, name string, origins map[string][]lineage.Origin) {
	if p.noting.of == nil || p.noting.pid != ctx.Pid() {
		p.noting = notes{ctx.Pid(), map[string]func(){}}
	}
	p.noting.of[strings.ToLower(name)] = func() { p.tx.NoteOrigins(by, name, origins) }
}

// BeginStatement marks the start of a statement that edits the rows of a table. Of several editors in a statement each begins and
// ends.
func (p *Part) BeginStatement(ctx *sql.Context, name string) error {
	t := p.owner
	if t.stmt == nil {
		t.stmt = &mark{saved: map[*Part]*repo.Savepoint{}}
	}
	t.stmt.open++
	if t.stmt.saved[p] == nil {
		p.began()
		t.stmt.saved[p] = p.tx.Savepoint()
	}
	l := strings.ToLower(name)
	if note := p.noting.of[l]; note != nil {
		if delete(p.noting.of, l); p.noting.pid == ctx.Pid() { // else of a statement that came to nothing
			note()
		}
	}
	if p.views[l] != nil {
		return nil
	}
	v, err := p.frozen(ctx, name)
	if err != nil {
		return err
	}
	if p.views == nil {
		p.views = map[string]*table.View{}
	}
	p.views[l] = v
	return nil
}

// DiscardStatement undoes the row edits of the statement and ends it for one of its editors.
func (p *Part) DiscardStatement() {
	t := p.owner
	if t.stmt == nil {
		return
	}
	for q, sp := range t.stmt.saved {
		q.tx.RollbackTo(sp)
		q.gen++
	}
	p.close()
}

// CompleteStatement ends the statement for one of its editors. A statement that was canceled is undone: the engine does not tell.
func (p *Part) CompleteStatement(ctx *sql.Context) error {
	if p.owner.stmt == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		p.DiscardStatement()
		return err
	}
	p.close()
	return nil
}

// closeStatement forgets the statement's marks.
func (t *Tx) closeStatement() {
	t.stmt = nil
	for _, p := range t.parts {
		clear(p.views)
	}
}

func (p *Part) close() {
	t := p.owner
	if t.stmt.open--; t.stmt.open <= 0 {
		t.closeStatement()
	}
}

// Temporary tells whether the part is of temporary tables.
func (p *Part) Temporary() bool { return p.temporary }
