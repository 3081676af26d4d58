package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/encodings"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
)

// LOAD DATA of the SQL engine keeps both of two enclosing characters that stand for one, ends lines inside enclosed fields, takes the text
// NULL for NULL wherever it stands, and knows no character sets. So files are read here.

// loadData opens the file of a LOAD DATA and gives its rows, laid out as the statement's list of columns is.
func loadData(ctx *sql.Context, n *plan.LoadData) (sql.RowIter, error) {
	enc, err := fileEncoding(n.Charset)
	if err != nil {
		return nil, err
	}
	l := &loadIter{
		schema: n.DestSch, columns: make([]int, 0, len(n.DestSch)), vars: n.UserVars, decode: enc,
		values: make(sql.Row, len(n.DestSch)), given: make([]bool, len(n.DestSch)),
	}
	names := n.ColNames
	if len(names) == 0 {
		for _, c := range n.DestSch {
			names = append(names, c.Name)
		}
	}
	for _, name := range names {
		at := n.DestSch.IndexOfColName(name)
		if at < 0 {
			return nil, sql.ErrUnknownColumn.New(name, n.DestSch[0].Source)
		}
		l.columns = append(l.columns, at)
	}
	if l.set, err = setBySchema(ctx, n); err != nil {
		return nil, err
	}
	file, err := loadFile(ctx, n)
	if err != nil {
		return nil, err
	}
	l.file = file
	l.fields = fieldReader{
		in: bufio.NewReaderSize(file, 64<<10), fieldEnd: n.FieldsTerminatedBy, lineEnd: n.LinesTerminatedBy, lineStart: n.LinesStartingBy,
		quote: firstByte(n.FieldsEnclosedBy), escape: firstByte(n.FieldsEscapedBy),
	}
	for range n.IgnoreNum {
		if err := l.fields.skipLine(); err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(err, file.Close())
		}
	}
	return l, nil
}

// loadFile opens the client's file, or one of the server's that clients may name.
func loadFile(ctx *sql.Context, n *plan.LoadData) (io.ReadCloser, error) {
	if !n.Local {
		return openServerFile(n.File)
	}
	if _, v, ok := sql.SystemVariables.GetGlobal("local_infile"); !ok || fmt.Sprint(v) == "0" {
		return nil, mysql.NewSQLError(erLocalInfile, "42000", "Loading local data is disabled; set the global variable local_infile to 1")
	}
	return ctx.LoadInfile(n.File)
}

// openServerFile opens a file of the server that statements may name.
func openServerFile(name string) (io.ReadCloser, error) {
	files, err := session.Files()
	if err != nil {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, session.FileError(name, err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(session.FileError(name, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, size), f}, nil
}

// mayWrite refuses the file of a SELECT … INTO that is not where statements may name files.
func mayWrite(n *plan.Into) error {
	for _, name := range []string{n.Outfile, n.Dumpfile} {
		if name == "" {
			continue
		}
		files, err := session.Files()
		if err != nil {
			return err
		}
		if _, err := files.Stat(name); errs.Is(err, errs.Denied) {
			return session.FileError(name, err)
		}
	}
	return nil
}

// fileEncoding is how the bytes of a file in a character set become text; nil when they are UTF-8 or no text.
func fileEncoding(name string) (encodings.Encoder, error) {
	switch name = strings.ToLower(name); name {
	case "", "utf8", "utf8mb4", "utf8mb3", "binary", "ascii":
		return nil, nil
	case "ucs2", "utf16", "utf16le", "utf32": // their characters have bytes that separate fields
		return nil, mysql.NewSQLError(erWrongValue, stateOfWrongSyntax, "LOAD DATA cannot read files in the character set %s; convert the file to utf8mb4", name)
	}
	id, err := sql.ParseCharacterSet(name)
	if err != nil {
		return nil, err
	}
	if enc := id.Encoder(); enc != nil {
		return enc, nil
	}
	return nil, mysql.NewSQLError(erWrongValue, stateOfWrongSyntax, "LOAD DATA cannot read files in the character set %s; convert the file to utf8mb4", name)
}

// setBySchema are the expressions of SET, by column of the schema, reading rows that are laid out by the schema.
func setBySchema(ctx *sql.Context, n *plan.LoadData) ([]sql.Expression, error) {
	out := make([]sql.Expression, len(n.DestSch))
	for i, e := range n.SetExprs {
		if e == nil {
			continue
		}
		var err error
		out[i], _, err = transform.Expr(ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			switch e := e.(type) {
			case *expression.GetField:
				return e.WithIndex(n.DestSch.IndexOfColName(e.Name())), transform.NewTree, nil
			case *plan.Subquery:
				return nil, transform.SameTree, session.Error(errs.New(errs.Unsupported, "LOAD DATA: SET takes no subquery; load the file into a table and run INSERT with a SELECT"))
			}
			return e, transform.SameTree, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func firstByte(s string) int {
	if s == "" {
		return -1
	}
	return int(s[0])
}

// loadIter gives the rows of a file.
type loadIter struct {
	file   io.Closer
	fields fieldReader
	decode encodings.Encoder

	schema  sql.Schema
	columns []int            // of the schema, that the statement lists
	vars    []sql.Expression // for each field the variable that it is put into, nil for a column
	set     []sql.Expression // for each column of the schema what SET gives it, or nil

	values sql.Row // of the present line, by column of the schema
	given  []bool  // which of them the line has a field for
}

// Next implements sql.RowIter.
func (l *loadIter) Next(ctx *sql.Context) (sql.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fields, err := l.fields.next()
	if err != nil {
		return nil, err
	}
	values, given := l.values, l.given
	clear(values)
	clear(given)
	column := 0
	for i := range l.vars {
		var f *field
		if i < len(fields) {
			f = &fields[i]
		}
		text, err := l.text(f)
		if err != nil {
			return nil, err
		}
		if l.vars[i] != nil {
			v := l.vars[i].(*expression.SetField).LeftChild.(*expression.UserVar)
			var t sql.Type = types.Null
			if text != nil {
				t = types.ApproximateTypeFromValue(text)
			}
			if err := ctx.SetUserVariable(ctx, v.Name, text, t); err != nil {
				return nil, err
			}
			continue
		}
		if column >= len(l.columns) {
			continue
		}
		at := l.columns[column]
		column++
		if f == nil {
			continue
		}
		given[at] = true
		if _, isText := l.schema[at].Type.(sql.StringType); text != "" || isText { // an empty field is NULL for what is no text
			values[at] = text
		}
	}
	return l.complete(ctx)
}

// text is a field's value: nil for NULL and for a field that the line does not have.
func (l *loadIter) text(f *field) (any, error) {
	if f == nil || f.null {
		return nil, nil
	}
	if l.decode == nil {
		return string(f.text), nil
	}
	out, ok := l.decode.Decode(f.text)
	if !ok {
		return nil, errors.New("a field is not in the character set of the file")
	}
	return string(out), nil
}

// complete gives the columns without a field their defaults, then those of SET their values, and puts them in the statement's order.
func (l *loadIter) complete(ctx *sql.Context) (sql.Row, error) {
	values, given := l.values, l.given
	var later []int // defaults that read other columns
	for _, at := range l.columns {
		c := l.schema[at]
		switch {
		case given[at] || l.set[at] != nil:
		case !c.Nullable && !c.AutoIncrement:
			values[at] = c.Type.Zero()
		case c.Default == nil:
		case !c.Default.IsLiteral():
			later = append(later, at)
		default:
			v, err := c.Default.Eval(ctx, values)
			if err != nil {
				return nil, err
			}
			values[at] = v
		}
	}
	for _, at := range l.columns {
		if l.set[at] == nil {
			continue
		}
		v, err := l.set[at].Eval(ctx, values)
		if err != nil {
			return nil, err
		}
		values[at] = v
	}
	for _, at := range later {
		v, err := l.schema[at].Default.Eval(ctx, values)
		if err != nil {
			return nil, err
		}
		values[at] = v
	}
	row := make(sql.Row, len(l.columns))
	for i, at := range l.columns {
		row[i] = values[at]
	}
	return row, nil
}

// Close implements sql.RowIter.
func (l *loadIter) Close(*sql.Context) error { return l.file.Close() }
