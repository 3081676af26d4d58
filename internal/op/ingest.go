package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/ingest/pull"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// Ingest is the verb that brings tables of other databases, or the history of a repository, into this one.
type Ingest struct {
	Tables  []string `flag:"table,t" sep:"," value:"table,..." help:"only these tables; all otherwise"`
	Query   string   `flag:"query,q" value:"sql" help:"of a server: the rows of this query, instead of tables"`
	As      string   `flag:"as" value:"table" help:"with --query: the table that the rows go to"`
	Keys    []string `flag:"key" sep:"," value:"column,..." help:"the primary key: of the rows of --query, of tables that have none, of files of a git repository that have these columns"`
	Message string   `flag:"message,m" value:"text" help:"the commit's message"`
	Retries int      `flag:"retries" default:"3" help:"how often a pull whose connection is lost is tried again"`
	Restart bool     `flag:"restart" help:"read all rows, also those that a pull that did not come to its end has left here"`
	Source  string   `arg:"1" required:"true" value:"url | git" help:"postgres://…, mysql://…, dolt://…, or git"`
	Path    string   `arg:"2" complete:"file" help:"with git: the repository"`
}

func ingestSpec() Spec {
	return Define[Ingest](Spec{
		Name: "ingest", Group: GroupData, Needs: NeedDatabase, Signs: true,
		Short: "Bring in tables of PostgreSQL and MySQL, and the history of git and Dolt repositories",
		Usage: []string{"(postgres | mysql)://user:password@host:port/database [-t <table>,...]", "<url> --query <sql> --as <table> [--key <column>,...]",
			"dolt://user:password@host:port/database", "git <path> [--key <column>,...]"},
		Long: `Of a server one state is read, in a transaction that only reads. The first pull makes the tables; every further one compares the rows by key and
writes those that changed. A pull is one commit, with source and time in its metadata, or none when nothing changed. Until it is
complete nothing is written. One that did not come to its end, because the connection was lost or the program was ended, is continued by the
next one: the server is asked which of the rows that are here already are the same still, and sends the others. The commit is of one state
of the server all the same. What nobody goes on with for 14 days is removed.

All rows are sent again, and the error says so, of tables and queries without a key that is never NULL (the source's, or a --key): nothing tells
which of their rows are here already. PostgreSQL does not tell of a query's columns whether they may be NULL. What broke off then leaves nothing.

Generated columns, CHECK constraints, foreign keys, indexes and defaults that were made here stay when the source's columns change. Other columns that
were added here have no place in what comes: a pull of such a table is refused, lest it lose what is in them.

Of a git repository the files with rows (CSV, TSV, JSON lines, Parquet, …; also those in Git LFS) become tables, and its commits become
commits, with their authors, times, messages and parents. Of a Dolt server all branches and their commits come. Commits that are here already
are not read again, nor are those of a run that did not come to its end.`,
		Examples: []Example{
			{"ingest postgres://etl@db.example.com/crm -t client_data", "a snapshot, and later what has changed"},
			{`ingest mysql://etl@db.example.com/shop --query "select id, total from orders where paid" --as paid --key id`, "the rows of a query"},
			{"ingest git ../data --key id", "the history of CSV files"},
			{"ingest dolt://root@localhost:3306/labels", "a database of a running Dolt server"},
		},
	})
}

// Run brings it in.
func (c *Ingest) Run(ctx context.Context, s *Scope) (*Result, error) {
	if s.Repo.ReadOnly() {
		return nil, errs.New(errs.ReadOnly, "ingest: the database is open for reading only")
	}
	if err := pull.Sweep(s.Repo.FS(), pullsDir(s), s.Repo.Clock().Now().Add(-abandoned)); err != nil {
		return nil, err
	}
	switch {
	case (c.Query == "") != (c.As == ""):
		return nil, errs.New(errs.Invalid, "ingest: --query and --as go together")
	case c.Query != "" && len(c.Tables) > 0:
		return nil, errs.New(errs.Invalid, "ingest: --query and --table exclude each other")
	case c.Source == "git":
		if c.Path == "" {
			return nil, errs.New(errs.Invalid, "ingest git: name the repository's directory")
		}
		if c.Query != "" {
			return nil, errs.New(errs.Invalid, "ingest git: --query is for servers")
		}
		return c.git(ctx, s)
	case c.Path != "":
		return nil, errs.New(errs.Invalid, "ingest: unexpected argument %s; tables are chosen with --table", c.Path)
	case strings.HasPrefix(c.Source, "dolt://"):
		if c.Query != "" || len(c.Tables) > 0 || len(c.Keys) > 0 {
			return nil, errs.New(errs.Invalid, "ingest: a Dolt database comes with all its tables and keys; --table, --query and --key are for mysql://")
		}
		return c.dolt(ctx, s)
	}
	for try := 0; ; try++ {
		r, err := c.pull(ctx, s)
		if !errs.Is(err, errs.Unavailable) || try >= c.Retries {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, errs.With(errs.Canceled, ctx.Err())
		case <-time.After(time.Duration(200<<min(try, 6)) * time.Millisecond):
		}
	}
}

// pulled is what a pull did to a table.
type pulled struct {
	table   string
	stats   ingest.SyncStats
	created bool
	schema  bool  // changed
	spared  int64 // rows that were not sent again
}

func (p *pulled) changed() bool { return p.created || p.schema || !p.stats.IsEmpty() }

// pull reads one state of a server and commits it.
func (c *Ingest) pull(ctx context.Context, s *Scope) (_ *Result, err error) {
	src, err := pull.Open(ctx, c.Source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := src.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	var described []*pull.Table
	if c.Query != "" {
		t, err := src.DescribeQuery(ctx, c.Query, c.As, c.Keys)
		if err != nil {
			return nil, err
		}
		described = append(described, t)
	} else {
		names := c.Tables
		if len(names) == 0 {
			if names, err = src.Tables(ctx); err != nil {
				return nil, err
			}
			if len(names) == 0 {
				return nil, errs.New(errs.NotFound, "%s has no tables", pull.Redact(c.Source))
			}
		}
		for _, n := range names {
			t, err := src.Describe(ctx, n)
			if err != nil {
				return nil, err
			}
			if len(t.Key) == 0 {
				t.Key = c.Keys
			}
			described = append(described, t)
		}
	}
	tx, err := s.Repo.Begin(ctx, s.branch())
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	var done []*pulled
	var partials []*pull.Partial
	defer func() {
		for _, p := range partials {
			err = errors.Join(err, p.Close())
		}
	}()
	for _, t := range described {
		partial, err := c.partial(s, src, t)
		if err != nil {
			return nil, err
		}
		if partial != nil {
			partials = append(partials, partial)
		}
		p, err := c.table(ctx, s, tx, t, reading(src, t, partial))
		if errs.Is(err, errs.Unavailable) {
			next := "what has come of it is kept, and the next pull goes on with it"
			if partial == nil {
				next = "the next pull reads all its rows again: " + c.whyAnew(src, t)
			}
			return nil, errs.New(errs.Unavailable, "%w; table %s: %s", err, t.Name, next)
		}
		if err != nil {
			return nil, err
		}
		done = append(done, p)
	}
	r, err := c.commit(ctx, s, tx, done)
	if err != nil {
		return nil, err
	}
	for _, p := range partials {
		if err := p.Remove(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// whyAnew tells why the pull of a table whose rows are not kept cannot be continued.
func (c *Ingest) whyAnew(src pull.Source, t *pull.Table) string {
	switch {
	case len(t.Key) == 0:
		return "there is no key by which the rest could be asked for; --key names one"
	case !pull.Resumable(src, t) && c.Query != "":
		return "as far as the server tells the key of a query may be NULL"
	case !pull.Resumable(src, t):
		return "its key may be NULL, or is of a kind that does not bound ranges, such as DOUBLE or ENUM"
	}
	return "another pull of it was going on"
}

// abandoned is the age at which what a pull has left is removed: the next one begins anew.
const abandoned = 14 * 24 * time.Hour

// pullsDir is where pulls keep what they have read until they have come to their end.
func pullsDir(s *Scope) string { return filepath.Join(s.Repo.Dir(), "pulls") }

// partial is where rows of the table are kept until the pull has come to its end; nil for a table whose pull cannot be continued.
func (c *Ingest) partial(s *Scope, src pull.Source, t *pull.Table) (*pull.Partial, error) {
	if !pull.Resumable(src, t) {
		return nil, nil
	}
	p, err := pull.OpenPartial(s.Repo.FS(), pullsDir(s), c.Source, t)
	if err != nil || p == nil || !c.Restart {
		return p, err
	}
	return p, p.Remove()
}

// rowSource reads the rows of a table, and tells how many of them were here already.
type rowSource func(ctx context.Context, fn func(fields [][]byte) error) (spared int64, err error)

// reading reads a table of a source, with the rows that are in a Partial, which may be nil.
func reading(src pull.Source, t *pull.Table, partial *pull.Partial) rowSource {
	return func(ctx context.Context, fn func(fields [][]byte) error) (int64, error) {
		if partial == nil {
			return 0, src.Read(ctx, t, fn)
		}
		return pull.Resume(ctx, src, t, partial, fn)
	}
}

// sameTable tells whether two schemas have the same columns and the same key.
func sameTable(a, b *schema.Schema) bool {
	if len(a.Columns) != len(b.Columns) || len(a.PrimaryKey) != len(b.PrimaryKey) {
		return false
	}
	for i := range a.Columns {
		x, y := &a.Columns[i], &b.Columns[i]
		if x.Name != y.Name || !x.Type.Equal(y.Type) || x.Nullable != y.Nullable || x.Generated != y.Generated {
			return false
		}
	}
	for i := range a.PrimaryKey {
		if a.ColumnByID(a.PrimaryKey[i].Column) != b.ColumnByID(b.PrimaryKey[i].Column) {
			return false
		}
	}
	return true
}

// table makes a table of the transaction what it is in the source.
func (c *Ingest) table(ctx context.Context, s *Scope, tx *repo.Tx, t *pull.Table, read rowSource) (_ *pulled, err error) {
	if err := repo.CheckTableName(t.Name); err != nil {
		return nil, err
	}
	p := &pulled{table: t.Name}
	_, written, exists, err := tx.Table(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	base, old := (*table.Table)(nil), (*schema.Schema)(nil)
	if exists {
		p.table = written
		if err := committed(ctx, s, tx, written); err != nil {
			return nil, err
		}
		if base, err = tx.FoldTable(ctx, written); err != nil {
			return nil, err
		}
		old = base.Schema.Schema
	}
	sch, err := t.Schema(old)
	if err != nil {
		return nil, err
	}
	if err := noneLost(ctx, s, tx, p.table, sch, old); err != nil {
		return nil, err
	}
	keepOwn(sch, old)
	if base == nil || !sameTable(old, sch) {
		p.created, p.schema = base == nil, base != nil
		if base, err = emptyWith(sch, old); err != nil {
			return nil, err
		}
		if err := tx.PutTable(ctx, p.table, base); err != nil { // by whose schema rows are completed
			return nil, err
		}
	}
	task := s.Start("pull "+p.table, 0, "rows")
	defer func() { task.Done(err) }()
	tab, stats, err := syncTable(ctx, s, tx, base, t, func(ctx context.Context, fn func(fields [][]byte) error) (err error) {
		p.spared, err = read(ctx, fn)
		return err
	}, task)
	if err != nil {
		return nil, err
	}
	if p.stats = stats; !p.changed() {
		return p, nil
	}
	tx.NoteAnew(p.table)
	return p, tx.PutTable(ctx, p.table, tab)
}

// noneLost refuses a pull that would take away columns which the source has not and no pull has brought: what is in them is nowhere else. sch is
// the table's schema as its source has it, old the one here, nil for none.
func noneLost(ctx context.Context, s *Scope, tx *repo.Tx, name string, sch, old *schema.Schema) error {
	if old == nil {
		return nil
	}
	var gone []*schema.Column
	for i := range old.Columns {
		if c := &old.Columns[i]; c.Generated == "" && sch.ColumnIndex(c.Name) < 0 {
			gone = append(gone, c)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	was, err := lastPulled(ctx, s, tx.Head(), name)
	if err != nil {
		return err
	}
	var own []string
	for _, c := range gone {
		if was == nil || was.ColumnByID(c.ID) < 0 {
			own = append(own, c.Name)
		}
	}
	if len(own) == 0 {
		return nil
	}
	return errs.New(errs.Conflict, "table %s: the source has no column %s and no pull has brought it: a pull would lose what is in it; "+
		"keep it in a table of its own, or drop it first", name, strings.Join(own, ", "))
}

// lastPulled is the schema that the last pull of a table left, seen from a commit; nil when no commit tells of one.
func lastPulled(ctx context.Context, s *Scope, from history.CommitID, name string) (*schema.Schema, error) {
	w, err := history.Walk(ctx, s.Repo.Store(), []history.CommitID{from}, nil)
	if err != nil {
		return nil, err
	}
	for {
		c, err := w.Next(ctx)
		if err != nil || c == nil {
			return nil, err
		}
		var note pullNote
		if c.Meta == "" || json.Unmarshal([]byte(c.Meta), &note) != nil || note.At == "" ||
			!slices.ContainsFunc(note.Tables, func(t string) bool { return strings.EqualFold(t, name) }) {
			continue
		}
		snap, err := s.Repo.SnapshotAt(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		v, _, ok, err := snap.Table(ctx, name)
		if err != nil || !ok {
			return nil, err
		}
		return v.Schema().Schema, nil
	}
}

// pullNote is what the commit of a pull says in its metadata.
type pullNote struct {
	At     string   `json:"pulled_at"`
	Query  string   `json:"query,omitempty"`
	Source string   `json:"source"`
	Tables []string `json:"tables"`
}

// keepOwn gives the schema of a table as its source has it what was made of it here: generated columns, CHECK constraints, foreign keys, and
// defaults of the columns that are there still. old is the schema of the table here, nil for none.
func keepOwn(s, old *schema.Schema) {
	if old == nil {
		return
	}
	for i := range s.Columns {
		if k := old.ColumnByID(s.Columns[i].ID); k >= 0 {
			c, o := &s.Columns[i], &old.Columns[k]
			c.HasDefault, c.Default, c.OnUpdate = o.HasDefault, o.Default, o.OnUpdate
		}
	}
	for i := range old.Columns {
		if c := old.Columns[i]; c.Generated != "" && s.ColumnIndex(c.Name) < 0 {
			s.Columns = append(s.Columns, c)
		}
	}
	s.Checks = slices.Clone(old.Checks)
	for _, f := range old.References {
		if !slices.ContainsFunc(f.Columns, func(id uint64) bool { return s.ColumnByID(id) < 0 }) {
			s.References = append(s.References, f)
		}
	}
	s.Comment = old.Comment
}

// emptyWith is a table without rows, with the indexes of the old schema, which may be nil, whose columns are there still.
func emptyWith(s, old *schema.Schema) (*table.Table, error) {
	if old != nil {
	next:
		for _, x := range old.Indexes {
			for _, c := range x.Columns {
				if s.ColumnByID(c.Column) < 0 {
					continue next
				}
			}
			s.Indexes = append(s.Indexes, x)
		}
	}
	compiled, err := schema.Compile(s)
	if err != nil {
		return nil, err
	}
	return table.Empty(compiled), nil
}

// committed refuses to write over changes that are not in HEAD.
func committed(ctx context.Context, s *Scope, tx *repo.Tx, name string) error {
	snap, err := s.Repo.SnapshotAt(ctx, tx.Head())
	if err != nil {
		return err
	}
	head, _, ok, err := snap.Table(ctx, name)
	if err != nil {
		return err
	}
	work, err := tx.FoldTable(ctx, name)
	if err != nil {
		return err
	}
	if !ok || head.Table.Hash() != work.Hash() {
		return errs.New(errs.Conflict, "table %s has changes that are not committed, which a pull would undo: commit or reset them first", name)
	}
	return nil
}

// syncTable makes base hold the rows of a described table, which read reads.
func syncTable(ctx context.Context, s *Scope, tx *repo.Tx, base *table.Table, t *pull.Table, read func(ctx context.Context, fn func(fields [][]byte) error) error, task Task) (*table.Table, ingest.SyncStats, error) {
	opt := ingest.LoadOptions{
		LoadOptions: table.LoadOptions{FS: s.Repo.FS(), TempDir: s.Repo.TempDir()}, Now: s.Repo.Clock().Now(), Bytes: task.Add,
		Auto:      func(ctx context.Context, given uint64) (uint64, error) { return tx.NextAuto(ctx, t.Name, given) },
		Completer: func(ctx context.Context) (table.Complete, error) { return tx.Completer(ctx, t.Name) },
	}
	if err := s.Repo.FS().MkdirAll(s.Repo.TempDir()); err != nil {
		return nil, ingest.SyncStats{}, err
	}
	for _, col := range t.Columns {
		opt.Names, opt.Columns = append(opt.Names, col.Name), append(opt.Columns, base.Schema.ColumnIndex(col.Name))
	}
	// Rows are read by a goroutine of the source, one block after the other.
	ctx, cancel := context.WithCancel(ctx)
	type handover struct {
		fields [][]byte
		err    error
	}
	rows, free := make(chan handover), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := read(ctx, func(fields [][]byte) error {
			select {
			case rows <- handover{fields: fields}:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case <-free:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err == nil {
			err = io.EOF
		}
		select {
		case rows <- handover{err: err}:
		case <-ctx.Done():
		}
	}()
	held := false
	next := func(ctx context.Context) ([][]byte, bool, error) {
		if held {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return nil, false, errs.With(errs.Canceled, ctx.Err())
			}
			held = false
		}
		select {
		case h := <-rows:
			if errors.Is(h.err, io.EOF) {
				return nil, false, nil
			}
			held = h.err == nil
			return h.fields, held, h.err
		case <-ctx.Done():
			return nil, false, errs.With(errs.Canceled, ctx.Err())
		}
	}
	tab, stats, err := ingest.Sync(ctx, tx.Store(), base, "table "+t.Name, next, opt)
	cancel()
	<-ended
	return tab, stats, err
}

// commit makes the pull visible as one commit.
func (c *Ingest) commit(ctx context.Context, s *Scope, tx *repo.Tx, done []*pulled) (*Result, error) {
	r := &Result{Columns: []Column{Text("table"), Whole("rows"), Whole("rows_added"), Whole("rows_removed"), Whole("rows_modified"), Flag("schema_changed")}, Lines: []string{}}
	var names []string
	var all ingest.SyncStats
	for _, p := range done {
		r.Add(p.table, int64(p.stats.Rows), int64(p.stats.Added), int64(p.stats.Removed), int64(p.stats.Modified), Truth(p.schema))
		line := fmt.Sprintf("%s: +%d -%d ~%d of %d rows", p.table, p.stats.Added, p.stats.Removed, p.stats.Modified, p.stats.Rows)
		if p.schema {
			line += ", with another schema"
		}
		r.Lines = append(r.Lines, line)
		if p.spared > 0 {
			r.Hints = append(r.Hints, fmt.Sprintf("%s: a pull was continued, of which %d rows were here already and had not changed", p.table, p.spared))
		}
		if p.changed() {
			names = append(names, p.table)
			all.Added, all.Removed, all.Modified = all.Added+p.stats.Added, all.Removed+p.stats.Removed, all.Modified+p.stats.Modified
		}
	}
	if len(names) == 0 {
		r.Lines = append(r.Lines, "Already up to date.")
		return r, nil
	}
	source := pull.Redact(c.Source)
	meta, err := json.Marshal(pullNote{At: s.Repo.Clock().Now().UTC().Format(time.RFC3339Nano), Query: c.Query, Source: source, Tables: names})
	if err != nil {
		return nil, errs.New(errs.Internal, "describe the pull: %w", err)
	}
	message := c.Message
	if message == "" {
		message = fmt.Sprintf("Pull %s from %s: +%d -%d ~%d rows", some(names), source, all.Added, all.Removed, all.Modified)
	}
	made, err := tx.CommitAs(ctx, repo.CommitOptions{Message: message, Meta: string(meta), Author: s.signature()}, nil)
	if err != nil {
		return nil, err
	}
	if made == nil { // a table that was dropped and not committed is there again
		r.Lines = append(r.Lines, "HEAD is the same already: there is no commit.")
		return r, nil
	}
	r.Printf("commit %s", made.ID)
	return r, nil
}
