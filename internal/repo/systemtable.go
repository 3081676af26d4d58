package repo

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// The system tables that are kept as tables: they are versioned like any other, and made by the first row that is written to them.
const (
	IgnoreTable       = "dolt_ignore"          // patterns of the names of tables that are not staged unless asked for
	DocsTable         = "dolt_docs"            // documents about the database
	QueryCatalogTable = "dolt_query_catalog"   // saved queries
	TestsTable        = "dolt_tests"           // queries and what they must answer
	NonlocalTable     = "dolt_nonlocal_tables" // names of tables that are those of another ref
	SchemasTable      = "dolt_schemas"         // views
)

// SystemTables are the names of the system tables that are kept as tables, whether or not they have been written to.
func SystemTables() []string {
	return []string{DocsTable, IgnoreTable, NonlocalTable, QueryCatalogTable, SchemasTable, TestsTable}
}

// ComputedTables are the names of the system tables that are not kept but computed, and the beginnings of the names of those that there
// are of each table. There is a dolt_blame_<table> only of tables that the head has, with a primary key; dolt_rebase is there while a rebase is
// in progress.
func ComputedTables() (names, perTable []string) {
	return []string{
			"dolt_backups", "dolt_branch_activity", "dolt_branches", "dolt_column_diff", "dolt_commit_ancestors", "dolt_commits", "dolt_conflicts",
			"dolt_constraint_violations", "dolt_diff", "dolt_help", "dolt_log", "dolt_merge_status", RebaseTable, "dolt_remote_branches", "dolt_remotes",
			"dolt_schema_conflicts", "dolt_stashes", "dolt_status", "dolt_status_ignored", "dolt_tags", lineage.Edges, "stemma_replica_status",
		}, []string{
			BlamePrefix, "dolt_commit_diff_", "dolt_conflicts_", "dolt_constraint_violations_", "dolt_diff_", "dolt_history_", "dolt_workspace_",
		}
}

// The computed system tables that are not always there.
const (
	RebaseTable = "dolt_rebase"
	BlamePrefix = "dolt_blame_"
)

// CheckTableName refuses names that a table of the user cannot have.
func CheckTableName(name string) error {
	switch {
	case name == "":
		return errs.New(errs.Invalid, "the name of the table is empty")
	case strings.HasSuffix(name, " ") || strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c == 0x7f }):
		return errs.New(errs.Invalid, "table %q cannot be made: its name ends with a space or holds a control character", name)
	case root.IsSystem(name):
		return errs.New(errs.Invalid, "table %s cannot be made: names that begin with dolt_ or stemma_ are those of system tables", name)
	}
	return nil
}

// SystemSchema is the schema of a system table that is kept as a table; nil when the name is not of one.
func SystemSchema(name string) *schema.Schema {
	text := func(n uint32) value.Type {
		return value.Type{Kind: value.KindVarchar, Length: n, Collation: value.CollationUtf8mb40900Bin}
	}
	long := value.Type{Kind: value.KindText, Length: 1<<32 - 1, Collation: value.CollationUtf8mb40900Bin}
	column := func(name string, t value.Type, nullable bool) schema.Column {
		return schema.Column{ID: schema.AssignID(name, t, nil, nil), Name: name, Type: t, Nullable: nullable}
	}
	s := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	keys := 1
	switch strings.ToLower(name) {
	case IgnoreTable:
		s.Columns = []schema.Column{
			column("pattern", text(1023), false),
			column("ignored", value.Type{Kind: value.KindInt8, Precision: 1}, false),
		}
	case DocsTable:
		s.Columns = []schema.Column{column("doc_name", text(1023), false), column("doc_text", long, true)}
	case QueryCatalogTable:
		s.Columns = []schema.Column{
			column("id", text(1023), false), column("display_order", value.Type{Kind: value.KindInt32}, false),
			column("name", long, false), column("query", long, false), column("description", long, true),
		}
	case TestsTable:
		s.Columns = []schema.Column{
			column("test_name", text(1023), false), column("test_group", long, true), column("test_query", long, false),
			column("assertion_type", long, false), column("assertion_comparator", long, false), column("assertion_value", long, true),
		}
		s.Checks = []schema.Check{
			{Name: "assertion_type_check", Expr: "(`assertion_type` in ('expected_rows', 'expected_columns', 'expected_single_value'))", Enforced: true},
			{Name: "assertion_comparator_check", Expr: "(`assertion_comparator` in ('==', '!=', '<', '>', '<=', '>='))", Enforced: true},
		}
	case NonlocalTable:
		s.Columns = []schema.Column{
			column("table_name", text(1023), false), column("target_ref", text(1023), true), column("ref_table", text(1023), true),
			column("options", text(1023), true),
		}
	case SchemasTable:
		nocase := func(n uint32) value.Type {
			return value.Type{Kind: value.KindVarchar, Length: n, Collation: value.CollationUtf8mb40900AiCi}
		}
		s.Columns = []schema.Column{
			column("type", nocase(64), false), column("name", nocase(64), false), column("fragment", long, true),
			column("extra", value.Type{Kind: value.KindJSON}, true), column("sql_mode", nocase(256), true),
		}
		keys = 2
	default:
		return nil
	}
	for i := range keys {
		s.PrimaryKey = append(s.PrimaryKey, schema.IndexColumn{Column: s.Columns[i].ID})
	}
	return s
}

// SystemEditor is the editor of a system table that is kept as a table, which is made when it is not there.
func (t *Tx) SystemEditor(ctx context.Context, name string) (*table.Editor, error) {
	if _, _, ok, err := t.Table(ctx, name); err != nil {
		return nil, err
	} else if !ok {
		s := SystemSchema(name)
		if s == nil {
			return nil, errNoTable(name)
		}
		if err := t.CreateTable(ctx, name, s); err != nil {
			return nil, err
		}
	}
	return t.Editor(ctx, name)
}

// Ignore is the patterns of dolt_ignore at a moment.
type Ignore struct {
	patterns []ignorePattern
}

type ignorePattern struct {
	text   string
	ignore bool
}

// IgnoreOf reads the patterns of a root, whose edits are all in trees.
func IgnoreOf(ctx context.Context, r *root.Root) (*Ignore, error) {
	e, ok, err := r.Get(ctx, root.KindTable, IgnoreTable)
	if err != nil || !ok {
		return &Ignore{}, err
	}
	var cache schema.Cache
	t, err := table.Open(ctx, r.Reader(), &cache, e.Table, e.Comments)
	if err != nil {
		return nil, chunk.NameAbsent(err, "the table "+IgnoreTable)
	}
	g, err := readIgnore(ctx, r.Reader(), t)
	return g, chunk.NameAbsent(err, "the table "+IgnoreTable)
}

func readIgnore(ctx context.Context, r chunk.Reader, t *table.Table) (*Ignore, error) {
	pattern, ignored := t.Schema.ColumnIndex("pattern"), t.Schema.ColumnIndex("ignored")
	if pattern < 0 || ignored < 0 || t.Schema.Keyless() || t.Schema.Columns[pattern].Type.Phys() != value.Bytes || t.Schema.Columns[ignored].Type.Phys() != value.Int64 {
		return nil, errs.New(errs.Invalid, "read %s: it has not the columns pattern and ignored", IgnoreTable)
	}
	out := &Ignore{}
	scan := table.NewView(r, t, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil || !ok {
			return out, err
		}
		for i := b.Lo; i < b.Hi; i++ {
			p, err := b.Page.Cell(ctx, pattern, i)
			if err != nil {
				return nil, err
			}
			if p, err = table.Resolve(ctx, r, p); err != nil {
				return nil, err
			}
			on, err := b.Page.Cell(ctx, ignored, i)
			if err != nil {
				return nil, err
			}
			if !p.IsNull() && !on.IsNull() {
				out.patterns = append(out.patterns, ignorePattern{text: string(p.Bytes()), ignore: on.Int() != 0})
			}
		}
	}
}

// IgnoreConflict is the error of a table that the patterns both ignore and do not ignore, none of them being more special. Its class
// is Conflict.
type IgnoreConflict struct {
	Table            string
	Ignored, Allowed []string // patterns
}

// Error implements error.
func (e *IgnoreConflict) Error() string {
	return "the table " + e.Table + " matches conflicting patterns in dolt_ignore:\nignored:     " + strings.Join(e.Ignored, ", ") +
		"\nnot ignored: " + strings.Join(e.Allowed, ", ")
}

// Ignores tells whether a new table of that name is not to be staged unless asked for. A pattern is a name in which * and % stand for
// any characters and ? for one, matched without case. dolt_ignore itself is never ignored. Of patterns that disagree those that are more special count: a pattern is more
// special than another that matches it. When neither side is, the error is an *IgnoreConflict in an error of class Conflict.
func (g *Ignore) Ignores(name string) (bool, error) {
	if g == nil || strings.EqualFold(name, IgnoreTable) {
		return false, nil
	}
	var yes, no []string
	for _, p := range g.patterns {
		switch {
		case !matchName(p.text, name):
		case p.ignore:
			yes = append(yes, p.text)
		default:
			no = append(no, p.text)
		}
	}
	if len(yes) == 0 || len(no) == 0 {
		return len(yes) > 0, nil
	}
	yes, no = special(yes, no), special(no, yes)
	switch {
	case len(yes) == 0 && len(no) > 0:
		return false, nil
	case len(no) == 0 && len(yes) > 0:
		return true, nil
	}
	return false, errs.With(errs.Conflict, &IgnoreConflict{Table: name, Ignored: yes, Allowed: no})
}

// special is the patterns of list of which none of others is a more special one. Equal patterns are not.
func special(list, others []string) []string {
	var out []string
	for _, p := range list {
		beaten := false
		for _, o := range others {
			beaten = beaten || matchName(p, o) && !matchName(o, p)
		}
		if !beaten {
			out = append(out, p)
		}
	}
	return out
}

// matchName tells whether a pattern matches a name, or another pattern as if that were a name: then what stands for one character
// matches itself but not what stands for any.
func matchName(pattern, name string) bool {
	p, s := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(name))
	star, back := -1, 0 // the last * and where in s it may still grow from
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && (p[i] == '*' || p[i] == '%'):
			star, back = i, j
			i++
		case i < len(p) && (p[i] == s[j] || p[i] == '?' && s[j] != '*' && s[j] != '%'):
			i++
			j++
		case star >= 0:
			back++
			i, j = star+1, back
		default:
			return false
		}
	}
	for i < len(p) && (p[i] == '*' || p[i] == '%') {
		i++
	}
	return i == len(p)
}

// stageAll is the working root without the new tables that are ignored.
func (r *Repo) stageAll(ctx context.Context, batch chunk.Store, w *Working) (*root.Root, error) {
	g, err := IgnoreOf(ctx, w.Working)
	if err != nil || len(g.patterns) == 0 {
		return w.Working, err
	}
	c, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil {
		return nil, err
	}
	changes, err := r.entryChanges(ctx, batch, w.Staged.Tree(), w.Working.Tree())
	if err != nil {
		return nil, err
	}
	head := root.Open(r.store, c.Root)
	var drop []root.Change
	for _, x := range changes {
		if x.Drop || x.Entry.Kind != root.KindTable {
			continue
		}
		ignored, ignoredErr := g.Ignores(x.Entry.Name)
		if ignoredErr == nil && !ignored {
			continue
		}
		known, err := knownTable(ctx, x.Entry.Name, w.Staged, head)
		if err != nil {
			return nil, err
		}
		switch {
		case known:
		case ignoredErr != nil:
			return nil, ignoredErr
		default:
			drop = append(drop, root.Change{Entry: x.Entry, Drop: true})
		}
	}
	if len(drop) == 0 {
		return w.Working, nil
	}
	return w.Working.With(ctx, batch, drop...)
}

// StageIgnored is Stage of all tables, those that dolt_ignore names included.
func (r *Repo) StageIgnored(ctx context.Context, branchName string) error {
	return r.restage(ctx, branchName, func(_ *pack.Batch, w *Working) (*root.Root, error) { return w.Working, nil })
}
