package catalog

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
)

// ViewReading says how the statement of a view is read. The SQL engine gives the parser the statement only, so that a mark in front of it
// tells it this.
type ViewReading struct {
	View     string     `json:"view"`            // the database of the view
	Database string     `json:"database"`        // of tables that the statement names without one
	Self     string     `json:"self,omitempty"`  // what the statement calls the database of the view
	Is       string     `json:"is,omitempty"`    // what Self means; "" when it means itself
	Ref      string     `json:"ref,omitempty"`   // of AS OF, for all tables without one of their own; "" for none
	Time     *time.Time `json:"time,omitempty"`  // likewise
	Mode     string     `json:"mode,omitempty"`  // sql_mode
	Extra    string     `json:"extra,omitempty"` // the column extra, for a view that is renamed
}

// AsOf is Ref or Time; nil for neither.
func (r *ViewReading) AsOf() any {
	switch {
	case r.Time != nil:
		return *r.Time
	case r.Ref != "":
		return r.Ref
	}
	return nil
}

const viewMark, viewMarkEnd = "/*read view ", "*/ "

// markKey signs marks. What a marked statement reads is asked for no privilege to make a view, so that only this process may make marks;
// clients can send any text.
var markKey = func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails
	return key
}()

// signature is what only this process can put in front of a mark's payload and the text behind it.
func signature(payload, text string) []byte {
	h := hmac.New(sha256.New, markKey)
	_, _ = io.WriteString(h, payload+viewMarkEnd+text) // it never fails
	return h.Sum(nil)
}

// mark is the statement of a view with the mark.
func (r *ViewReading) mark(text string) (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	payload := base64.StdEncoding.EncodeToString(b)
	return viewMark + base64.StdEncoding.EncodeToString(signature(payload, text)) + " " + payload + viewMarkEnd + text, nil
}

// ReadingOf is how a statement of a view is read; nil for statements without a mark that this process has made for them.
func ReadingOf(query string) *ViewReading {
	if !strings.HasPrefix(query, viewMark) {
		return nil
	}
	mark, statement, ok := strings.Cut(query[len(viewMark):], viewMarkEnd)
	if !ok {
		return nil
	}
	sum, payload, _ := strings.Cut(mark, " ")
	if sign, err := base64.StdEncoding.DecodeString(sum); err != nil || !hmac.Equal(sign, signature(payload, statement)) {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return nil
	}
	r := &ViewReading{}
	if json.Unmarshal(b, r) != nil {
		return nil
	}
	return r
}

// renamed is the row of dolt_schemas of the view of a marked statement under another name; nil for a statement without a mark.
func renamed(ctx context.Context, marked, name string) (*repo.Fragment, error) {
	r := ReadingOf(marked)
	if r == nil {
		return nil, nil
	}
	_, text, _ := strings.Cut(marked, viewMarkEnd)
	d, err := parseView(ctx, text, r.Mode)
	if err != nil {
		return nil, err
	}
	f := &repo.Fragment{Type: repo.ViewFragment, Name: name, Extra: r.Extra, SQLMode: r.Mode}
	f.Text, err = viewStatement(ctx, d, text, name, r.Mode)
	return f, err
}

// viewExtra is the column extra of a view.
type viewExtra struct {
	Database string `json:"database,omitempty"` // of tables that the statement names without one; "" is that of the view
	Self     string `json:"self,omitempty"`     // what the statement calls the database of the view; "" for nothing
}

// viewParser reads the statements of views.
var viewParser = sql.NewMysqlParser()

// parseView reads the statement of a view.
func parseView(ctx context.Context, text, mode string) (*sqlparser.DDL, error) {
	s, _, err := Unreserved(text, func(text string) (sqlparser.Statement, int, error) {
		return viewParser.ParseOneWithOptions(ctx, text, sql.NewSqlModeFromString(mode).ParserOptions())
	})
	if err != nil {
		return nil, err
	}
	d, ok := s.(*sqlparser.DDL)
	if !ok || d.ViewSpec == nil {
		return nil, errs.New(errs.Invalid, "it is not a statement that makes a view: %s", text)
	}
	return d, nil
}

// viewFragment is the row of dolt_schemas of a view that a statement makes under a name in the database called self. current is the
// session's current database.
func viewFragment(ctx *sql.Context, text, name, self, current string) (repo.Fragment, error) {
	mode := sql.LoadSqlMode(ctx).String()
	text = strings.TrimRight(strings.TrimSpace(text), "; \t\r\n")
	d, err := parseView(ctx, text, mode)
	if err != nil {
		return repo.Fragment{}, err
	}
	f := repo.Fragment{Type: repo.ViewFragment, Name: name, SQLMode: mode}
	if f.Text, err = viewStatement(ctx, d, text, name, mode); err != nil {
		return f, err
	}
	if !strings.Contains(f.Text, `"`) {
		f.SQLMode = withoutMode(mode, "ANSI_QUOTES")
	}
	var extra viewExtra
	if base, _ := session.SplitName(current); current != "" && !strings.EqualFold(base, self) {
		extra.Database = current
	}
	err = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if t, ok := n.(sqlparser.TableName); ok {
			if base, _ := session.SplitName(t.DbQualifier.String()); strings.EqualFold(base, self) {
				extra.Self = self
			}
		}
		return true, nil
	}, d.ViewSpec.ViewExpr)
	if err != nil || extra == (viewExtra{}) {
		return f, err
	}
	b, err := json.Marshal(extra)
	f.Extra = string(b)
	return f, err
}

// tablesOf are the names of tables and views that the statement of a view in the database called self reads from there, as they are now.
func tablesOf(d *sqlparser.DDL, self string) []string {
	var out []string
	with := map[string]bool{}
	_ = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) { // the function returns no errors
		switch n := n.(type) {
		case *sqlparser.CommonTableExpr:
			with[strings.ToLower(n.As.String())] = true
		case *sqlparser.AliasedTableExpr:
			if t, ok := n.Expr.(sqlparser.TableName); ok && n.AsOf == nil && (t.DbQualifier.IsEmpty() || strings.EqualFold(t.DbQualifier.String(), self)) {
				out = append(out, t.Name.String())
			}
		}
		return true, nil
	}, d.ViewSpec.ViewExpr)
	return slices.DeleteFunc(out, func(n string) bool { return with[strings.ToLower(n)] })
}

// withoutMode is an sql_mode without one of its modes.
func withoutMode(mode, without string) string {
	var out []string
	for _, m := range strings.Split(mode, ",") {
		if !strings.EqualFold(m, without) {
			out = append(out, m)
		}
	}
	return strings.Join(out, ",")
}

// viewStatement is the statement that is kept: as it was written, where that makes a view of this name in the present database and does no
// more; otherwise one that does. It is read under an sql_mode.
func viewStatement(ctx context.Context, d *sqlparser.DDL, text, name, mode string) (string, error) {
	v := d.ViewSpec
	if v.ViewName.DbQualifier.IsEmpty() && strings.EqualFold(v.ViewName.Name.String(), name) && !d.OrReplace && !d.IfNotExists && !strings.Contains(text, "/*!") {
		return text, nil
	}
	var b strings.Builder
	b.WriteString("CREATE ")
	if v.Algorithm != "" {
		b.WriteString("ALGORITHM = " + v.Algorithm + " ")
	}
	if v.Definer != "" {
		b.WriteString("DEFINER = " + v.Definer + " ")
	}
	if v.Security != "" {
		b.WriteString("SQL SECURITY " + v.Security + " ")
	}
	b.WriteString("VIEW " + schema.QuoteName(name))
	if len(v.Columns) > 0 {
		names := make([]string, len(v.Columns))
		for i, c := range v.Columns {
			names[i] = schema.QuoteName(c.String())
		}
		b.WriteString(" (" + strings.Join(names, ", ") + ")")
	}
	query := ViewQuery(d, text)
	b.WriteString(" AS " + query)
	behind := " "
	if strings.Contains(query, "--") || strings.Contains(query, "#") { // perhaps a comment up to the end of the line
		behind = "\n"
	}
	switch v.CheckOption {
	case sqlparser.ViewCheckOptionCascaded:
		b.WriteString(behind + "WITH CASCADED CHECK OPTION")
	case sqlparser.ViewCheckOptionLocal:
		b.WriteString(behind + "WITH LOCAL CHECK OPTION")
	}
	kept, err := parseView(ctx, b.String(), mode)
	if err != nil {
		return "", errs.New(errs.Unsupported, "view %s cannot be made: its statement cannot be kept: %w", name, err)
	}
	if sqlparser.String(kept.ViewSpec.ViewExpr) != sqlparser.String(v.ViewExpr) || kept.ViewSpec.CheckOption != v.CheckOption {
		return "", errs.New(errs.Unsupported, "view %s cannot be made: its statement cannot be kept", name)
	}
	return b.String(), nil
}

// ViewQuery is the query of a view whose statement was parsed of a text, as written there.
func ViewQuery(d *sqlparser.DDL, text string) string {
	if d.SubStatementStr != "" {
		return withoutWith(d, d.SubStatementStr)
	}
	from, to := d.SubStatementPositionStart, d.SubStatementPositionEnd
	if from < 0 || from > to || to > len(text) {
		return sqlparser.String(d.ViewSpec.ViewExpr)
	}
	return withoutWith(d, text[from:to])
}

// withoutWith is the query of a view as the parser gives it: with the first word of WITH CHECK OPTION.
func withoutWith(d *sqlparser.DDL, query string) string {
	query = strings.TrimSpace(query)
	const with = "with"
	if n := len(query) - len(with); d.ViewSpec.CheckOption != sqlparser.ViewCheckOptionUnspecified && n > 0 && strings.EqualFold(query[n:], with) {
		query = strings.TrimSpace(query[:n])
	}
	return query
}
