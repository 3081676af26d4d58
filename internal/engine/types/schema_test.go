package types

import (
	"context"
	"strings"
	"testing"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// world is an engine with two databases in memory.
type world struct {
	t      *testing.T
	ctx    *sql.Context
	engine *sqle.Engine
	dbs    map[string]*memory.Database
}

func newWorld(t *testing.T) *world {
	a, b := memory.NewDatabase("a"), memory.NewDatabase("b")
	pro := memory.NewDBProvider(a, b)
	ctx := sql.NewContext(context.Background(), sql.WithSession(memory.NewSession(sql.NewBaseSession(), pro)))
	ctx.SetCurrentDatabase("a")
	e := sqle.New(analyzer.NewDefault(pro), nil)
	e.Analyzer.ExecBuilder.Runner = e
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t, ctx, e, map[string]*memory.Database{"a": a, "b": b}}
}

func (w *world) run(query string) []sql.Row {
	w.t.Helper()
	_, iter, _, err := w.engine.Query(w.ctx, query)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	rows, err := sql.RowIterToRows(w.ctx, iter)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return rows
}

func (w *world) table(db, name string) sql.Table {
	w.t.Helper()
	tbl, ok, err := w.dbs[db].GetTableInsensitive(w.ctx, name)
	if !ok || err != nil {
		w.t.Fatal(name, err)
	}
	return tbl
}

// given is the schema that CREATE TABLE gives for a table, its expressions parsed.
func (w *world) given(db, name string, s sql.PrimaryKeySchema) sql.PrimaryKeySchema {
	s.Schema = planbuilder.NewBuilderForColumnDefaultResolution(w.ctx, sql.EngineOverrides{}).ResolveSchemaDefaults(db, name, s.Schema)
	return s
}

// store converts a table of database a to its stored form.
func (w *world) store(name string) *schema.Schema {
	w.t.Helper()
	tbl := w.table("a", name)
	s, err := SchemaFromSQL(w.ctx, w.given("a", name, tbl.(sql.PrimaryKeyTable).PrimaryKeySchema(w.ctx)), tbl.Collation(), tbl.(sql.CommentedTable).Comment())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

const manyColumns = `create table t (
  id bigint unsigned not null auto_increment comment 'the key',
  flag boolean default true,
  small tinyint not null default -1,
  price decimal(12,4) default '1.50',
  ratio double default 0.25,
  name varchar(40) collate utf8mb4_0900_ai_ci default 'it''s',
  none varchar(10) default null,
  code char(3) not null default 'x',
  at datetime(6) default current_timestamp(6) on update current_timestamp(6),
  day date default '2024-02-29',
  expr int default (1 + 2),
  bits bit(4) default b'101',
  color enum('red','green') default 'green',
  tags set('a','b') default 'a,b',
  doc json,
  twice int generated always as (small * 2) stored,
  upper varchar(50) generated always as (upper(name)) virtual,
  pos point srid 4326,
  raw varbinary(8) default 'ab',
  primary key (name, id),
  key (id)
) comment 'many'`

func TestSchemaThereAndBack(t *testing.T) {
	w := newWorld(t)
	w.run(manyColumns)
	s := w.store("t")
	decoded, err := schema.Decode(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if decoded, err = decoded.WithComments(s.EncodeComments()); err != nil {
		t.Fatal(err)
	}
	codecs, err := Codecs(decoded)
	if err != nil {
		t.Fatal(err)
	}
	back := SchemaToSQL(decoded, codecs, "b", "t")
	if len(back.PkOrdinals) != 2 || back.Schema[back.PkOrdinals[0]].Name != "name" {
		t.Errorf("primary key in the order of the columns, not of the key: %v", back.PkOrdinals)
	}
	for i, c := range w.table("a", "t").Schema(w.ctx) {
		d := back.Schema[i]
		if d.Name != c.Name || !d.Type.Equals(c.Type) || d.Nullable != c.Nullable || d.PrimaryKey != c.PrimaryKey ||
			d.AutoIncrement != c.AutoIncrement || d.Virtual != c.Virtual || d.Comment != c.Comment || d.Extra != c.Extra ||
			(d.Default == nil) != (c.Default == nil) || (d.OnUpdate == nil) != (c.OnUpdate == nil) || (d.Generated == nil) != (c.Generated == nil) {
			t.Errorf("column %s came back as\n%s", c.DebugString(w.ctx), d.Name)
		}
		if d.Source != "t" || d.DatabaseSource != "b" {
			t.Errorf("column %s is of %s.%s", d.Name, d.DatabaseSource, d.Source)
		}
	}
	w.dbs["b"].AddTable("t", memory.NewTableWithCollation(w.ctx, w.dbs["b"].BaseDatabase, "t", w.given("b", "t", back), w.dbs["b"].GetForeignKeyCollection(), sql.Collation_Default))
	show := func(db string) string {
		text := w.run("show create table " + db + ".t")[0][1].(string)
		var lines []string
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "KEY `id`") && !strings.Contains(line, "ENGINE") {
				lines = append(lines, strings.TrimRight(line, ",\n"))
			}
		}
		return strings.Join(lines, "\n")
	}
	if a, b := show("a"), show("b"); a != b {
		t.Errorf("SHOW CREATE TABLE: was\n%s\nis\n%s", a, b)
	}
	// The stored text is what the engine makes of it again, so that nothing grows with each ALTER.
	for _, parsed := range []bool{true, false} {
		in := back
		if parsed {
			in = w.given("b", "t", back)
		}
		again, err := SchemaFromSQL(w.ctx, in, sql.Collation_Default, "many")
		if err != nil {
			t.Fatal(err)
		}
		if !parsed {
			for i := range again.Columns {
				again.Columns[i].Absent = s.Columns[i].Absent
			}
		}
		if string(again.Encode()) != string(s.Encode()) {
			t.Errorf("parsed=%v: stored again:\n%+v\nbefore:\n%+v", parsed, again.Columns, s.Columns)
		}
	}
}

func TestAbsentIsTheLiteralDefault(t *testing.T) {
	w := newWorld(t)
	w.run(manyColumns)
	s := w.store("t")
	for name, want := range map[string]string{"flag": "1", "small": "-1", "price": "1.5000", "ratio": "0.25", "name": "it's", "day": "2024-02-29",
		"color": "green", "tags": "a,b", "code": "x", "bits": "\x05", "raw": "ab"} {
		c := s.Columns[s.ColumnIndex(name)]
		if got := string(value.AppendText(nil, c.Type, c.Absent)); got != want {
			t.Errorf("absent %s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"id", "none", "at", "expr", "doc", "twice", "upper", "pos"} {
		if c := s.Columns[s.ColumnIndex(name)]; !c.Absent.IsNull() {
			t.Errorf("absent %s is %v", name, c.Absent)
		}
	}
}

func TestRowsOfATable(t *testing.T) {
	w := newWorld(t)
	w.run(`create table k (a int, b text, c int generated always as (a + 1) virtual, d int generated always as (a + 2) stored, primary key (a))`)
	w.run(`create table h (a int, b text)`)
	for name, row := range map[string]sql.Row{"k": {int32(1), "x", nil, int32(3)}, "h": {nil, "y"}} {
		s, err := schema.Compile(w.store(name))
		if err != nil {
			t.Fatal(err)
		}
		codecs, err := Codecs(s.Schema)
		if err != nil {
			t.Fatal(err)
		}
		r, err := TableRows(s, codecs)
		if err != nil {
			t.Fatal(err)
		}
		cells := make([]value.Cell, r.Cells())
		if s.Keyless() {
			cells[0] = value.IntCell(9)
		}
		in := append(sql.Row{}, row...)
		if name == "k" {
			in[2] = int32(2) // virtual: given, not kept
		}
		tuple, err := r.RowToTuple(w.ctx, nil, in, cells)
		if err != nil {
			t.Fatal(err)
		}
		got := make(sql.Row, r.Width())
		if err := r.TupleToRow(tuple, cells, got); err != nil || sql.FormatRow(got) != sql.FormatRow(row) {
			t.Errorf("%s: %v came back as %v, %v", name, row, got, err)
		}
	}
}

func TestIndexesFromSQL(t *testing.T) {
	w := newWorld(t)
	w.run(`create table t (a int primary key, b varchar(10), c text, d binary(4))`)
	s := w.store("t")
	id := func(name string) uint64 { return s.Columns[s.ColumnIndex(name)].ID }
	x, err := IndexFromSQL(s, sql.IndexDef{Name: "i", Constraint: sql.IndexConstraint_Unique, Comment: "c",
		Columns: []sql.IndexColumn{{Name: "B", Length: 10}, {Name: "c", Length: 7}, {Name: "a"}, {Name: "d", Length: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.IndexColumn{{Column: id("b")}, {Column: id("c"), Prefix: 7}, {Column: id("a")}, {Column: id("d"), Prefix: 2}}
	if len(x.Columns) != 4 || !x.Unique || x.Comment != "c" || x.Name != "i" {
		t.Fatalf("%+v", x)
	}
	for i := range want {
		if x.Columns[i] != want[i] {
			t.Errorf("column %d: %+v, want %+v", i, x.Columns[i], want[i])
		}
	}
	if got := strings.Join(IndexExpressions(s, "t", x.Columns), " "); got != "t.b t.c t.a t.d" {
		t.Error(got)
	}
	if _, err := IndexFromSQL(s, sql.IndexDef{Columns: []sql.IndexColumn{{Name: "nope"}}}); !sql.ErrKeyColumnDoesNotExist.Is(err) {
		t.Error(err)
	}
	if _, err := IndexFromSQL(s, sql.IndexDef{Columns: []sql.IndexColumn{{Name: "a", Length: 2}}}); !sql.ErrInvalidIndexPrefix.Is(err) {
		t.Error(err)
	}
	if _, err := IndexFromSQL(s, sql.IndexDef{Constraint: sql.IndexConstraint_Spatial}); !errs.Is(err, errs.Unsupported) {
		t.Error(err)
	}
}

func TestSchemaErrorsNameTheColumn(t *testing.T) {
	w := newWorld(t)
	w.run(`create table t (a int primary key, bad varchar(10) collate latin1_swedish_ci)`)
	tbl := w.table("a", "t")
	_, err := SchemaFromSQL(w.ctx, tbl.(sql.PrimaryKeyTable).PrimaryKeySchema(w.ctx), tbl.Collation(), "")
	if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "column bad: collation latin1_swedish_ci") {
		t.Error(err)
	}
}
