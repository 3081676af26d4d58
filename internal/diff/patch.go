package diff

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Statement is an SQL statement of a patch, with its semicolon.
type Statement struct {
	SQL    string
	Schema bool // it changes the schema; else rows
}

// Patch gives the statements that make the table from, called fromName, the table to, called toName; either table may be nil, with ""
// as its name. After them a table with a primary key has the rows of to and, where SQL can say it, its hash: a column of a new table
// has the id of its present name, whatever it was called when it was made. Of a table without primary key the rows are the same but
// not always in the same order.
//
// Rows are deleted before the schema is changed, and changed ones among them, where their old values could stand against the new schema
// or against one another: when types or keys change, unique indexes come, or values in unique indexes change. Else rows come in key order
// behind the schema.
//
// Foreign keys link tables, so that statements of several tables may stand against one another: with keyless they are left out, for
// KeyStatements.
func Patch(ctx context.Context, p *Pair, fromName, toName string, keyless bool) iter.Seq2[Statement, error] {
	return func(yield func(Statement, error) bool) {
		w := &patcher{ctx: ctx, p: p, yield: yield}
		for _, x := range []struct {
			in  *schema.Compiled
			out **schema.Schema
		}{{p.fs, &w.fs}, {p.ts, &w.ts}} {
			if x.in == nil {
				continue
			}
			*x.out = x.in.Schema
			if keyless && len(x.in.References) > 0 {
				*x.out = x.in.Clone()
				(*x.out).References = nil
			}
		}
		err := w.run(fromName, toName)
		if err != nil && err != errStopped {
			yield(Statement{}, err)
		}
	}
}

// KeyStatements are the statements that drop all foreign keys of the table from before a patch, and those that give it the ones of to
// behind it. They stand before and behind the patches of all tables.
func KeyStatements(p *Pair, fromName, toName string) (drop, add []Statement) {
	say := func(parts ...string) Statement {
		return Statement{SQL: "ALTER TABLE " + strings.Join(parts, "") + ";", Schema: true}
	}
	if p.fs != nil && p.from != nil {
		for i := range p.fs.References {
			drop = append(drop, say(schema.QuoteName(fromName), " DROP FOREIGN KEY ", schema.QuoteName(p.fs.References[i].Name)))
		}
	}
	if p.ts != nil && p.to != nil {
		for i := range p.ts.References {
			add = append(add, say(schema.QuoteName(toName), " ADD ", p.ts.ReferenceSQL(&p.ts.References[i])))
		}
	}
	return drop, add
}

type stopped struct{}

func (stopped) Error() string { return "stopped" }

// errStopped ends a patch that nobody reads on.
var errStopped error = stopped{}

type patcher struct {
	ctx    context.Context
	p      *Pair
	yield  func(Statement, error) bool
	fs, ts *schema.Schema // of the two sides, perhaps without foreign keys
	buf    []byte
}

func (w *patcher) say(isSchema bool, parts ...string) error {
	if !w.yield(Statement{SQL: strings.Join(parts, "") + ";", Schema: isSchema}, nil) {
		return errStopped
	}
	return w.ctx.Err()
}

func (w *patcher) run(fromName, toName string) error {
	p := w.p
	switch {
	case p.to == nil:
		return w.say(true, "DROP TABLE ", schema.QuoteName(fromName))
	case p.from == nil:
		return w.create(toName)
	}
	from, retyped := p.retyped(w.fs)
	plan, ok := alter(from, w.ts, retyped, toName)
	if fromName != toName {
		if err := w.say(true, "RENAME TABLE ", schema.QuoteName(fromName), " TO ", schema.QuoteName(toName)); err != nil {
			return err
		}
	}
	if !ok {
		if err := w.say(true, "DROP TABLE ", schema.QuoteName(toName)); err != nil {
			return err
		}
		return w.create(toName)
	}
	all := plan.strict || !p.Keyed()
	early := all || len(plan.unique) > 0
	// again tells whether a row is removed before the others are written, and then inserted, rather than updated.
	again := func(c Change) (bool, error) {
		if all {
			return true, nil
		}
		return w.differsIn(c, plan.unique)
	}
	if early {
		for c, err := range p.Rows(w.ctx, Options{}) {
			if err != nil {
				return err
			}
			if !c.From.Valid() {
				continue
			}
			if c.To.Valid() {
				if yes, err := again(c); err != nil {
					return err
				} else if !yes {
					continue
				}
			}
			if err := w.remove(toName, c.From, p.fs.Schema); err != nil {
				return err
			}
		}
	}
	for _, s := range plan.statements {
		if err := w.say(true, s); err != nil {
			return err
		}
	}
	for c, err := range p.Rows(w.ctx, Options{}) {
		if err != nil {
			return err
		}
		switch {
		case !c.To.Valid():
			if !early {
				err = w.removeKey(toName, c.From, p.fs.Schema, p.ts.Schema)
			}
		case c.From.Valid():
			var yes bool
			if yes, err = again(c); err == nil && yes {
				err = w.insert(toName, c.To)
			} else if err == nil {
				err = w.update(toName, c)
			}
		default:
			err = w.insert(toName, c.To)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// retyped is fs, the schema of the from side, with the ids of the to side for columns that are the same by their names, not their ids: a
// column that got a type of another family has another id. ids are those.
func (p *Pair) retyped(fs *schema.Schema) (s *schema.Schema, ids map[uint64]bool) {
	ids = map[uint64]bool{}
	now := map[uint64]uint64{}
	for _, c := range p.cols {
		if c.From < 0 || c.To < 0 {
			continue
		}
		if f, t := p.fs.Columns[c.From].ID, p.ts.Columns[c.To].ID; f != t {
			now[f], ids[t] = t, true
		}
	}
	if len(now) == 0 {
		return fs, ids
	}
	s = fs.Clone()
	follow := func(id *uint64) {
		if to, ok := now[*id]; ok {
			*id = to
		}
	}
	for i := range s.Columns {
		follow(&s.Columns[i].ID)
	}
	for i := range s.PrimaryKey {
		follow(&s.PrimaryKey[i].Column)
	}
	for i := range s.Indexes {
		x := &s.Indexes[i]
		x.Columns = slices.Clone(x.Columns)
		for k := range x.Columns {
			follow(&x.Columns[k].Column)
		}
	}
	for i := range s.References {
		f := &s.References[i]
		f.Columns = slices.Clone(f.Columns)
		for k := range f.Columns {
			follow(&f.Columns[k])
		}
	}
	return s, ids
}

// create makes the to side anew.
func (w *patcher) create(name string) error {
	if err := w.say(true, strings.TrimSuffix(w.ts.CreateTable(name), ";")); err != nil {
		return err
	}
	r := newReader(w.p.r, w.p.to, plainCells(w.p.ts.Schema), Options{})
	for {
		if err := r.next(w.ctx); err != nil || !r.row.Valid() {
			return err
		}
		if err := w.insert(name, r.row); err != nil {
			return err
		}
	}
}

// literal is the cell of a column as an SQL expression.
func (w *patcher) literal(row Row, s *schema.Schema, col int) (string, error) {
	c, err := row.Cell(w.ctx, col)
	if err != nil {
		return "", err
	}
	if c, err = table.Resolve(w.ctx, w.p.r, c); err != nil {
		return "", err
	}
	w.buf = AppendLiteral(w.buf[:0], s.Columns[col].Type, c)
	return string(w.buf), nil
}

// stored tells whether a column is written by statements: its values are not computed.
func stored(s *schema.Schema, col int) bool { return s.Columns[col].Generated == "" }

func (w *patcher) insert(name string, row Row) error {
	s := w.p.ts.Schema
	var cols, vals []string
	for i := range s.Columns {
		if !stored(s, i) {
			continue
		}
		v, err := w.literal(row, s, i)
		if err != nil {
			return err
		}
		cols, vals = append(cols, schema.QuoteName(s.Columns[i].Name)), append(vals, v)
	}
	return w.say(false, "INSERT INTO ", schema.QuoteName(name), " (", strings.Join(cols, ","), ") VALUES (", strings.Join(vals, ","), ")")
}

// remove deletes a row of a table of schema s: by its key, or one that has all its values.
func (w *patcher) remove(name string, row Row, s *schema.Schema) error {
	if !s.Keyless() {
		return w.removeKey(name, row, s, s)
	}
	var conds []string
	for i := range s.Columns {
		if !stored(s, i) {
			continue
		}
		v, err := w.literal(row, s, i)
		if err != nil {
			return err
		}
		if s.Columns[i].Type.Kind == value.KindJSON && v != "NULL" {
			v = "CAST(" + v + " AS JSON)"
		}
		conds = append(conds, schema.QuoteName(s.Columns[i].Name)+" <=> "+v)
	}
	return w.say(false, "DELETE FROM ", schema.QuoteName(name), " WHERE ", strings.Join(conds, " AND "), " LIMIT 1")
}

// removeKey deletes a row, of schema s, by its key from a table whose schema is now.
func (w *patcher) removeKey(name string, row Row, s, now *schema.Schema) error {
	cond, err := w.keyIs(row, s, now)
	if err != nil {
		return err
	}
	return w.say(false, "DELETE FROM ", schema.QuoteName(name), " WHERE ", cond)
}

// keyIs is the condition that a row of a table, whose schema is now, has the key of a row of schema s.
func (w *patcher) keyIs(row Row, s, now *schema.Schema) (string, error) {
	var conds []string
	for n, k := range s.PrimaryKey {
		v, err := w.literal(row, s, s.ColumnByID(k.Column))
		if err != nil {
			return "", err
		}
		conds = append(conds, schema.QuoteName(now.Columns[now.ColumnByID(now.PrimaryKey[n].Column)].Name)+"="+v)
	}
	return strings.Join(conds, " AND "), nil
}

// differsIn tells whether a changed row has other values in one of the columns of the to side with these ids.
func (w *patcher) differsIn(c Change, ids map[uint64]bool) (bool, error) {
	for i := range w.p.cols {
		col := &w.p.cols[i]
		if col.To < 0 || !ids[w.p.ts.Schema.Columns[col.To].ID] {
			continue
		}
		if col.From < 0 {
			return true, nil
		}
		if differs, err := w.p.CellDiffers(w.ctx, c, col); err != nil || differs {
			return differs, err
		}
	}
	return false, nil
}

func (w *patcher) update(name string, c Change) error {
	s := w.p.ts.Schema
	var sets []string
	for i := range w.p.cols {
		col := &w.p.cols[i]
		if col.To < 0 || !stored(s, col.To) {
			continue
		}
		differs, err := w.p.CellDiffers(w.ctx, c, col)
		if err != nil {
			return err
		}
		if !differs {
			continue
		}
		v, err := w.literal(c.To, s, col.To)
		if err != nil {
			return err
		}
		sets = append(sets, schema.QuoteName(s.Columns[col.To].Name)+"="+v)
	}
	if len(sets) == 0 {
		return nil
	}
	cond, err := w.keyIs(c.To, s, s)
	if err != nil {
		return err
	}
	return w.say(false, "UPDATE ", schema.QuoteName(name), " SET ", strings.Join(sets, ", "), " WHERE ", cond)
}

// AppendLiteral appends a cell, which must not be out of line, as an SQL expression that has its value.
func AppendLiteral(dst []byte, t value.Type, c value.Cell) []byte {
	if c.IsNull() {
		return append(dst, "NULL"...)
	}
	hexed := func(b []byte) []byte {
		if len(b) == 0 {
			return append(dst, "''"...)
		}
		dst = append(dst, "0x"...)
		return hex.AppendEncode(dst, b)
	}
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16,
		value.KindUint24, value.KindUint32, value.KindUint64, value.KindDecimal, value.KindYear:
		return value.AppendText(dst, t, c)
	case value.KindBit:
		return strconv.AppendUint(dst, c.Uint(), 10)
	case value.KindFloat64:
		return strconv.AppendFloat(dst, c.Float(), 'e', -1, 64)
	case value.KindFloat32:
		dst = append(dst, "CAST("...)
		dst = strconv.AppendFloat(dst, float64(c.Float32()), 'e', -1, 32)
		return append(dst, " AS FLOAT)"...)
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return hexed(c.Bytes())
	case value.KindGeometry:
		if b := c.Bytes(); len(b) > 4 {
			dst = append(dst, "ST_GEOMFROMWKB("...)
			dst = append(dst, "0x"...)
			dst = hex.AppendEncode(dst, b[4:])
			dst = append(dst, ',')
			dst = strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(b)), 10)
			return append(dst, ')')
		}
		return hexed(c.Bytes())
	case value.KindVector:
		dst = append(dst, "STRING_TO_VECTOR('"...)
		dst = value.AppendText(dst, t, c)
		return append(dst, "')"...)
	}
	return append(dst, schema.QuoteText(string(value.AppendText(nil, t, c)))...)
}

// alteration is how a schema becomes another.
type alteration struct {
	statements []string
	strict     bool // rows of the old schema may stand against a statement

	// unique are the columns of unique indexes that stay as they are: a row whose values in them change may stand against another.
	unique map[uint64]bool
}

// alter plans how a table of schema from becomes one of schema to; ok is false when it must be made anew. retyped are the ids of columns
// whose values get another form, which no foreign key stands.
func alter(from, to *schema.Schema, retyped map[uint64]bool, name string) (*alteration, bool) {
	a := &alteration{}
	table := "ALTER TABLE " + schema.QuoteName(name) + " "
	say := func(parts ...string) { a.statements = append(a.statements, table+strings.Join(parts, "")) }

	common := 0
	for i := range from.Columns {
		if t := to.ColumnByID(from.Columns[i].ID); t >= 0 {
			common++
			if (from.Columns[i].Generated == "") != (to.Columns[t].Generated == "") {
				return nil, false
			}
		}
	}
	if common == 0 || from.Target != to.Target {
		return nil, false
	}
	sameKey := slices.Equal(from.PrimaryKey, to.PrimaryKey)
	if !sameKey {
		a.strict = true
		for _, s := range []*schema.Schema{from, to} {
			if s.AutoColumn() >= 0 {
				return nil, false // an AUTO_INCREMENT column must be a key at all times
			}
			if slices.ContainsFunc(s.PrimaryKey, func(k schema.IndexColumn) bool { return k.Desc || k.Prefix > 0 }) {
				return nil, false
			}
		}
	}
	// Indexes and checks are kept from the first on as long as they are alike: their order is part of the schema.
	keepIndexes := 0
	for keepIndexes < len(from.Indexes) && keepIndexes < len(to.Indexes) {
		x, y := from.Indexes[keepIndexes], to.Indexes[keepIndexes]
		if x.Name != y.Name || x.Unique != y.Unique || x.Comment != y.Comment || !slices.Equal(x.Columns, y.Columns) {
			break
		}
		keepIndexes++
	}
	keepChecks := 0
	for keepChecks < len(from.Checks) && keepChecks < len(to.Checks) && from.Checks[keepChecks] == to.Checks[keepChecks] {
		keepChecks++
	}
	keepKeys := 0
	for keepKeys < len(from.References) && keepKeys < len(to.References) && from.References[keepKeys].Equal(&to.References[keepKeys]) {
		keepKeys++
	}
	if slices.ContainsFunc(from.References[:keepKeys], func(f schema.ForeignKey) bool {
		return slices.ContainsFunc(f.Columns, func(id uint64) bool { return retyped[id] })
	}) {
		keepKeys = 0
	}
	for i := range from.References[keepKeys:] {
		say("DROP FOREIGN KEY ", schema.QuoteName(from.References[keepKeys+i].Name))
	}
	for _, c := range from.Checks[keepChecks:] {
		say("DROP CONSTRAINT ", schema.QuoteName(c.Name))
	}
	for _, x := range from.Indexes[keepIndexes:] {
		say("DROP INDEX ", schema.QuoteName(x.Name))
	}
	if !sameKey && !from.Keyless() {
		say("DROP PRIMARY KEY")
	}
	if from.Collation != to.Collation {
		say("COLLATE ", to.Collation.String())
	}
	ok := a.columns(from, to, say)
	if !ok {
		return nil, false
	}
	if !sameKey && !to.Keyless() {
		say("ADD PRIMARY KEY (", to.PartsSQL(to.PrimaryKey), ")")
	}
	for _, x := range to.Indexes[keepIndexes:] {
		word := "ADD INDEX "
		if x.Unique {
			word = "ADD UNIQUE INDEX "
		}
		comment := ""
		if x.Comment != "" {
			comment = " COMMENT " + schema.QuoteText(x.Comment)
		}
		say(word, schema.QuoteName(x.Name), " (", to.PartsSQL(x.Columns), ")", comment)
	}
	for _, c := range to.Checks[keepChecks:] {
		enforced := ""
		if !c.Enforced {
			enforced = " NOT ENFORCED"
		}
		a.strict = true
		say("ADD CONSTRAINT ", schema.QuoteName(c.Name), " CHECK ", c.Expr, enforced)
	}
	for i := range to.References[keepKeys:] {
		a.strict = true
		say("ADD ", to.ReferenceSQL(&to.References[keepKeys+i]))
	}
	if from.Comment != to.Comment {
		say("COMMENT = ", schema.QuoteText(to.Comment))
	}
	a.strict = a.strict || slices.ContainsFunc(to.Indexes[keepIndexes:], func(x schema.Index) bool { return x.Unique })
	a.unique = map[uint64]bool{}
	for _, x := range to.Indexes[:keepIndexes] {
		if !x.Unique {
			continue
		}
		for _, c := range x.Columns {
			a.unique[c.Column] = true
			i := to.ColumnByID(c.Column)
			a.strict = a.strict || i < 0 || to.Columns[i].Generated != "" || retyped[c.Column]
		}
	}
	return a, true
}

// columns plans the changes of columns: those that go, new names, then each in its place.
func (a *alteration) columns(from, to *schema.Schema, say func(...string)) bool {
	var sim []schema.Column // the columns as the statements so far leave them
	for i := range from.Columns {
		c := from.Columns[i]
		if to.ColumnByID(c.ID) < 0 {
			say("DROP COLUMN ", schema.QuoteName(c.Name))
			continue
		}
		sim = append(sim, c)
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(sim, func(c schema.Column) bool { return strings.EqualFold(c.Name, name) })
	}
	// A name that another column still has is taken in a second round.
	for round := range 2 {
		for i := range sim {
			want := to.Columns[to.ColumnByID(sim[i].ID)].Name
			if sim[i].Name == want {
				continue
			}
			next := want
			if !strings.EqualFold(want, sim[i].Name) && taken(want) {
				if round > 0 {
					return false
				}
				for n := 0; taken(next) || to.ColumnIndex(next) >= 0; n++ {
					next = want + "_" + strconv.Itoa(n)
				}
			}
			say("RENAME COLUMN ", schema.QuoteName(sim[i].Name), " TO ", schema.QuoteName(next))
			sim[i].Name = next
		}
	}
	for i := range to.Columns {
		want := &to.Columns[i]
		place := " FIRST"
		if i > 0 {
			place = " AFTER " + schema.QuoteName(to.Columns[i-1].Name)
		}
		at := slices.IndexFunc(sim, func(c schema.Column) bool { return c.ID == want.ID })
		if at < 0 {
			if i == len(sim) {
				place = ""
			}
			if want.AutoIncrement || want.Generated != "" {
				return false
			}
			say("ADD COLUMN ", to.ColumnSQL(i), place)
			sim = slices.Insert(sim, i, *want)
			continue
		}
		moved := at != i
		changed := columnDiffers(&sim[at], want)
		if !moved && !changed {
			continue
		}
		if !moved {
			place = ""
		}
		if changed {
			a.strict = true
		}
		say("MODIFY COLUMN ", to.ColumnSQL(i), place)
		sim = slices.Insert(slices.Delete(sim, at, at+1), i, *want)
	}
	return true
}
