package flight

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// idleTransaction is how long a transaction may stand idle.
const idleTransaction = 10 * time.Minute

// transactions are those that clients have begun and not ended.
type transactions struct {
	mu   sync.Mutex
	list map[string]*transaction
}

// transaction is a session in which statements and writes of several calls come together.
type transaction struct {
	id      string
	caller  *caller
	client  *engine.Client
	message string        // of the commit that it ends with; "" for none
	meta    string        // of that commit
	busy    chan struct{} // holds a token while no call runs in it
	ended   bool
	idle    *time.Timer
	at      time.Time // when it was begun
}

func errNoTransaction(id string) error {
	return &problem{err: errs.New(errs.NotFound, "there is no transaction %q: it has ended, or stood idle for 10 minutes and was rolled back", id)}
}

// begin makes a transaction of a session.
func (l *transactions) begin(ctx context.Context, client *engine.Client, c *caller, message, meta string) (*transaction, error) {
	if _, err := client.Exec(ctx, "START TRANSACTION", nil); err != nil {
		client.Close()
		return nil, err
	}
	t := &transaction{id: rand.Text(), caller: c, client: client, message: message, meta: meta, busy: make(chan struct{}, 1), at: clock.System{}.Now()}
	t.busy <- struct{}{}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[string]*transaction{}
	}
	l.list[t.id] = t
	t.idle = time.AfterFunc(idleTransaction, func() { l.drop(t) })
	return t, nil
}

// find is a caller's transaction.
func (l *transactions) find(id string, c *caller) (*transaction, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.list[id]
	if t == nil || t.caller.user != c.user || t.caller.host != c.host {
		return nil, errNoTransaction(id)
	}
	return t, nil
}

// onConnection is the id of the transaction that was begun on a caller's connection; nil when there is none or are several.
func (l *transactions) onConnection(c *caller) []byte {
	if c.peer == "" {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var id []byte
	for _, t := range l.list {
		if t.caller.peer == c.peer && t.caller.user == c.user && t.caller.host == c.host {
			if id != nil {
				return nil
			}
			id = []byte(t.id)
		}
	}
	return id
}

// hold takes the session of a transaction for a call; calls in one transaction run one after the other.
func (l *transactions) hold(ctx context.Context, id string, c *caller) (*held, error) {
	t, err := l.take(ctx, id, c)
	if err != nil {
		return nil, err
	}
	return &held{t.client, sync.OnceFunc(t.give)}, nil
}

func (l *transactions) take(ctx context.Context, id string, c *caller) (*transaction, error) {
	t, err := l.find(id, c)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.busy:
	case <-ctx.Done():
		return nil, errs.With(errs.Canceled, ctx.Err())
	}
	if t.ended {
		t.busy <- struct{}{}
		return nil, errNoTransaction(id)
	}
	t.idle.Stop()
	return t, nil
}

// give lets the next call have the session.
func (t *transaction) give() {
	t.idle.Reset(idleTransaction)
	t.busy <- struct{}{}
}

// end takes the transaction out of the list and closes its session. Its token is the caller's.
func (l *transactions) end(t *transaction) {
	l.mu.Lock()
	delete(l.list, t.id)
	l.mu.Unlock()
	t.ended = true
	t.idle.Stop()
	t.client.Close()
	t.busy <- struct{}{}
}

// drop rolls a transaction back, cancelling what runs in it.
func (l *transactions) drop(t *transaction) {
	t.client.Kill()
	<-t.busy
	if t.ended {
		t.busy <- struct{}{}
		return
	}
	l.end(t)
}

// close rolls all transactions back.
func (l *transactions) close() {
	l.mu.Lock()
	var all []*transaction
	for _, t := range l.list {
		all = append(all, t)
	}
	l.mu.Unlock()
	for _, t := range all {
		l.drop(t)
	}
}

// BeginTransaction implements flightsql.Server.
func (q *sqlServer) BeginTransaction(ctx context.Context, _ flightsql.ActionBeginTransactionRequest) ([]byte, error) {
	c := q.s.call(ctx)
	t, err := q.s.beginTransaction(ctx, c, "", c.header(headerMessage), "")
	if err != nil {
		return nil, err
	}
	return []byte(t.id), nil
}

func (s *service) beginTransaction(ctx context.Context, c *call, database, message, meta string) (*transaction, error) {
	name, err := c.database(database)
	if err != nil {
		return nil, err
	}
	client, err := c.connect(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, err := client.Resolve(ctx, "", ""); err != nil { // a branch that is not there is found now
		client.Close()
		return nil, &problem{err: err, database: name}
	}
	return s.transactions.begin(ctx, client, c.caller, message, meta)
}

// EndTransaction implements flightsql.Server.
func (q *sqlServer) EndTransaction(ctx context.Context, r flightsql.ActionEndTransactionRequest) error {
	c := q.s.call(ctx)
	commit := r.GetAction() == flightsql.EndTransactionCommit
	_, err := q.s.endTransaction(ctx, c, &endRequest{Transaction: string(r.GetTransactionId()), Commit: &commit}, "")
	return err
}

// endTransaction commits a transaction, or rolls it back. With a message what it has changed becomes a version commit, by the same record; on
// several branches by one each after it, which are made before the same end, sent again, is answered. The answer to one with a write id is kept, and given again when the transaction has ended already.
func (s *service) endTransaction(ctx context.Context, c *call, r *endRequest, meta string) (*endResult, error) {
	out := &endResult{}
	commit := r.Commit == nil || *r.Commit
	t, err := s.transactions.take(ctx, r.Transaction, c.caller)
	if err != nil {
		if commit {
			if done, failed := s.ended(ctx, c, r.WriteID); done != nil || failed != nil {
				return done, failed
			}
		}
		return nil, err
	}
	defer s.transactions.end(t)
	if !commit {
		_, err := t.client.Exec(ctx, "ROLLBACK", nil)
		return out, err
	}
	changed, err := t.client.Changed(ctx)
	if err != nil {
		return nil, err
	}
	message := cmp.Or(r.Message, t.message)
	by := c.run()
	if by.Run == "" {
		by = t.client.Run()
	}
	if message != "" && len(changed) == 1 {
		t.client.SetRun(by, s.readsIn.of(c.caller, by.Run))
		err := t.client.CommitWith(ctx, s.version(c, message, cmp.Or(meta, t.meta), func(tx *repo.Tx, commit *string) error {
			out.Commit = commit
			if r.WriteID == "" {
				return nil
			}
			return noteEnd(tx, r.WriteID, &endNoted{*out, nil})
		}))
		if err != nil {
			return nil, &problem{err: err, query: "COMMIT", database: changed[0].Repo.Name(), duplicate: t.client.Duplicate()}
		}
		return out, nil
	}
	left := &unfinished{By: by, Message: message, Meta: cmp.Or(meta, t.meta)}
	if message != "" {
		for _, x := range changed {
			left.Parts = append(left.Parts, part{x.Repo.Name(), x.Branch, x.Tables})
		}
	}
	home := "" // the database that has the note
	if r.WriteID != "" {
		if err := t.client.Transaction(ctx, "", nil, func(tx *repo.Tx) error {
			home = tx.Repo().Name()
			return noteEnd(tx, r.WriteID, &endNoted{*out, left.orNil()})
		}); err != nil {
			return nil, err
		}
	}
	if _, err := t.client.Exec(ctx, "COMMIT", nil); err != nil {
		return nil, &problem{err: err, query: "COMMIT", duplicate: t.client.Duplicate()}
	}
	if err := s.completeEnd(ctx, c, left, home, r.WriteID, out); err != nil {
		return nil, err
	}
	return out, nil
}

// unfinished is what a transaction over several branches has left to do after it was committed: a version commit on each.
type unfinished struct {
	By      lineage.Current `json:"by"`
	Message string          `json:"message"`
	Meta    string          `json:"meta"`
	Parts   []part          `json:"parts"`
}

// part is what a transaction has changed on one branch.
type part struct {
	Database string   `json:"database"`
	Branch   string   `json:"branch"`
	Tables   []string `json:"tables"`
}

func (u *unfinished) orNil() *unfinished {
	if u == nil || len(u.Parts) == 0 {
		return nil
	}
	return u
}

// completeEnd makes the version commits that are left, and notes after each, in the database home, what is left then. Who sends the end again after a
// crash, or after one could not be made, has the rest made.
func (s *service) completeEnd(ctx context.Context, c *call, left *unfinished, home, writeID string, out *endResult) error {
	for left.orNil() != nil {
		x := left.Parts[0]
		r, _, ok := s.opt.Engine.Provider().Lookup(x.Database)
		if !ok {
			return errs.New(errs.NotFound, "the database %s, which the transaction has changed, is not there any more", x.Database)
		}
		id, err := s.commit(ctx, c, left.By, r, x.Branch, x.Tables, left.Message, left.Meta)
		if err != nil {
			return &problem{err: err, database: x.Database}
		}
		left.Parts = left.Parts[1:]
		if id != "" {
			out.Commit = &id
		}
		if writeID == "" {
			continue
		}
		w, err := endWrite(writeID, &endNoted{*out, left.orNil()})
		if at, _, ok := s.opt.Engine.Provider().Lookup(home); ok && err == nil {
			err = at.NoteWrite(context.WithoutCancel(ctx), w)
		}
		if err != nil {
			return &problem{err: err, database: home}
		}
	}
	return nil
}

// noteEnd notes in a transaction how it ended.
func noteEnd(tx *repo.Tx, id string, out *endNoted) error {
	w, err := endWrite(id, out)
	if err == nil {
		tx.Note(w)
	}
	return err
}

// endNoted is what is noted of an end: its answer, and what was left to do then.
type endNoted struct {
	endResult
	Left *unfinished `json:"left,omitempty"`
}

// endWrite is the note of how a transaction ended.
func endWrite(id string, out *endNoted) (repo.Write, error) {
	text, err := json.Marshal(out)
	if err != nil {
		return repo.Write{}, errs.With(errs.Internal, err)
	}
	return repo.Write{ID: id, Result: endNote + string(text)}, nil
}

// endNote is the beginning of the notes of ends of transactions.
const endNote = "end "

// ended is the answer to the end with an id of a transaction that has ended already; nil when none is known. What is left to do of it is done.
func (s *service) ended(ctx context.Context, c *call, id string) (*endResult, error) {
	if id == "" {
		return nil, nil
	}
	for _, name := range s.opt.Engine.Provider().Names() {
		r, _, ok := s.opt.Engine.Provider().Lookup(name)
		if !ok {
			continue
		}
		if text, ok := r.Written(id); ok && strings.HasPrefix(text, endNote) {
			var noted endNoted
			if json.Unmarshal([]byte(text[len(endNote):]), &noted) != nil {
				continue
			}
			out := &noted.endResult
			if err := s.completeEnd(ctx, c, noted.Left, name, id, out); err != nil {
				return nil, err
			}
			out.Already = true
			return out, nil
		}
	}
	return nil, nil
}

// BeginSavepoint implements flightsql.Server.
func (q *sqlServer) BeginSavepoint(ctx context.Context, r flightsql.ActionBeginSavepointRequest) ([]byte, error) {
	if r.GetName() == "" {
		return nil, invalid("a savepoint needs a name")
	}
	c := q.s.call(ctx).withTransaction(r.GetTransactionId())
	if len(r.GetTransactionId()) == 0 {
		return nil, invalid("a savepoint needs a transaction")
	}
	if _, err := q.exec(ctx, c, "SAVEPOINT "+savepointName(r.GetName()), nil); err != nil {
		return nil, err
	}
	return []byte(string(r.GetTransactionId()) + "/" + r.GetName()), nil
}

// EndSavepoint implements flightsql.Server.
func (q *sqlServer) EndSavepoint(ctx context.Context, r flightsql.ActionEndSavepointRequest) error {
	id, name, ok := strings.Cut(string(r.GetSavepointId()), "/")
	if !ok {
		return invalid("the id is none of a savepoint")
	}
	what := "RELEASE SAVEPOINT "
	if r.GetAction() == flightsql.EndSavepointRollback {
		what = "ROLLBACK TO SAVEPOINT "
	}
	_, err := q.exec(ctx, q.s.call(ctx).withTransaction([]byte(id)), what+savepointName(name), nil)
	return err
}

// savepointName is a name in SQL, in a session with ANSI_QUOTES.
func savepointName(n string) string { return "`" + strings.ReplaceAll(n, "`", "``") + "`" }
