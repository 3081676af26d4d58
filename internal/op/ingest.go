package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	Retries int      `flag:"retries" default:"3" help:"how often a pull whose connection is lost begins anew"`
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
writes those that changed. A pull is one commit, with source and time in its metadata, or none when nothing changed. When the connection is
lost it begins anew with the state of that moment; until it is complete nothing is written.

Of a git repository the files with rows (CSV, TSV, JSON lines, Parquet, …; also those in Git LFS) become tables, and its commits become
commits, with their authors, times, messages and parents. Of a Dolt server all branches and their commits come. Commits that are here already
are not read again.`,
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
	schema  bool // changed
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
	for _, t := range described {
		p, err := c.table(ctx, s, tx, src, t)
		if err != nil {
			return nil, err
		}
		done = append(done, p)
	}
	return c.commit(ctx, s, tx, done)
}

// sameTable tells whether two schemas have the same columns and the same key.
func sameTable(a, b *schema.Schema) bool {
	if len(a.Columns) != len(b.Columns) || len(a.PrimaryKey) != len(b.PrimaryKey) {
		return false
	}
	for i := range a.Columns {
		x, y := &a.Columns[i], &b.Columns[i]
		if x.Name != y.Name || !x.Type.Equal(y.Type) || x.Nullable != y.Nullable {
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
func (c *Ingest) table(ctx context.Context, s *Scope, tx *repo.Tx, src pull.Source, t *pull.Table) (*pulled, error) {
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
	if base == nil || !sameTable(old, sch) {
		p.created, p.schema = base == nil, base != nil
		if base, err = emptyWith(sch, old); err != nil {
			return nil, err
		}
	}
	task := s.Start("pull "+p.table, 0, "rows")
	defer task.Done()
	tab, stats, err := syncTable(ctx, s, tx, base, t, src, task)
	if err != nil {
		return nil, err
	}
	if p.stats = stats; !p.changed() {
		return p, nil
	}
	return p, tx.PutTable(ctx, p.table, tab)
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

// syncTable reads the rows of a described table into base.
func syncTable(ctx context.Context, s *Scope, tx *repo.Tx, base *table.Table, t *pull.Table, src pull.Source, task Task) (*table.Table, ingest.SyncStats, error) {
	opt := ingest.LoadOptions{LoadOptions: table.LoadOptions{FS: s.Repo.FS(), TempDir: s.Repo.TempDir()}, Now: s.Repo.Clock().Now(), Bytes: task.Add}
	if err := s.Repo.FS().MkdirAll(s.Repo.TempDir()); err != nil {
		return nil, ingest.SyncStats{}, err
	}
	for i, col := range t.Columns {
		opt.Names, opt.Columns = append(opt.Names, col.Name), append(opt.Columns, i)
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
		err := src.Read(ctx, t, func(fields [][]byte) error {
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
	note := map[string]any{"source": source, "pulled_at": s.Repo.Clock().Now().UTC().Format(time.RFC3339Nano), "tables": names}
	if c.Query != "" {
		note["query"] = c.Query
	}
	meta, err := json.Marshal(note)
	if err != nil {
		return nil, errs.New(errs.Internal, "describe the pull: %w", err)
	}
	message := c.Message
	if message == "" {
		message = fmt.Sprintf("Pull %s from %s: +%d -%d ~%d rows", some(names), source, all.Added, all.Removed, all.Modified)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	branch := s.branch()
	if err := s.Repo.Stage(ctx, branch, names); err != nil {
		return nil, err
	}
	made, err := s.Repo.Commit(ctx, repo.CommitOptions{Branch: branch, Message: message, Meta: string(meta), Author: s.signature()})
	if err != nil {
		return nil, err
	}
	r.Printf("commit %s", made.ID)
	return r, nil
}

// replay makes commits of another repository commits of this one.
type replay struct {
	s    *Scope
	key  string                      // of the metadata that names the original
	made map[string]history.CommitID // by the original's name
	base history.CommitID            // parent of commits that have none
	new  int
}

// newReplay finds the commits that came before.
func newReplay(ctx context.Context, s *Scope, key string) (*replay, error) {
	p := &replay{s: s, key: key, made: map[string]history.CommitID{}}
	var heads []history.CommitID
	for _, b := range s.Repo.Branches() {
		heads = append(heads, b.Head)
	}
	w, err := history.Walk(ctx, s.Repo.Store(), heads, nil)
	if err != nil {
		return nil, err
	}
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p, nil
		}
		if len(c.Parents) == 0 {
			p.base = c.ID
		}
		if c.Meta == "" {
			continue
		}
		var meta map[string]any
		if json.Unmarshal([]byte(c.Meta), &meta) == nil {
			if name, ok := meta[key].(string); ok {
				p.made[name] = c.ID
			}
		}
	}
}

// commit replays one commit: change makes the tables of the first parent those of the commit.
func (p *replay) commit(ctx context.Context, name string, parents []string, c *history.Commit, change func(tx *repo.Tx) error) error {
	for _, parent := range parents {
		id, ok := p.made[parent]
		if !ok {
			return errs.New(errs.NotFound, "commit %s: its parent %s is missing; is the repository a shallow clone?", name, parent)
		}
		c.Parents = append(c.Parents, id)
	}
	if len(c.Parents) == 0 {
		c.Parents = []history.CommitID{p.base}
	}
	first, err := history.GetCommit(ctx, p.s.Repo.Store(), c.Parents[0])
	if err != nil {
		return err
	}
	tx, err := p.s.Repo.BeginAside(p.s.branch(), first.Root)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := change(tx); err != nil {
		return errs.New(errs.CodeOf(err), "commit %s: %w", name, err)
	}
	meta, err := json.Marshal(map[string]string{p.key: name})
	if err != nil {
		return errs.New(errs.Internal, "describe commit: %w", err)
	}
	c.Meta = string(meta)
	if strings.TrimSpace(c.Message) == "" {
		c.Message = "(no message)"
	}
	if err := p.s.Repo.AddCommit(ctx, tx, c); err != nil {
		return err
	}
	p.made[name], p.new = c.ID, p.new+1
	return nil
}

// branch makes a branch name a commit. One that exists must be behind it, and without changes that are not committed.
func (p *replay) branch(ctx context.Context, name string, to history.CommitID) error {
	r := p.s.Repo
	head, ok := r.BranchHead(name)
	if !ok {
		return r.CreateBranch(ctx, name, to, false)
	}
	if head == to {
		return nil
	}
	is, err := history.IsAncestor(ctx, r.Store(), head, to)
	if err != nil {
		return err
	}
	if !is {
		return errs.New(errs.Conflict, "branch %s has commits that did not come from there; ingest on another branch, or merge", name)
	}
	w, err := r.Fold(ctx, name)
	if err != nil {
		return err
	}
	c, err := history.GetCommit(ctx, r.Store(), head)
	if err != nil {
		return err
	}
	if w.Working.Tree() != c.Root || w.Staged.Tree() != c.Root {
		return errs.New(errs.Conflict, "branch %s has changes that are not committed: commit or reset them first", name)
	}
	return r.ResetHard(ctx, name, to)
}
