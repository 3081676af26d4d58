package cli

import (
	"context"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// check refuses flags that exclude each other.
func (v *sqlVerb) check() error {
	n := 0
	for _, given := range []bool{v.Query != "", v.File != "", v.Execute != "", v.List} {
		if given {
			n++
		}
	}
	switch {
	case v.Query != "" && v.File != "":
		return errs.New(errs.Invalid, "sql: -q and -f exclude each other")
	case n > 1:
		return errs.New(errs.Invalid, "sql: only one of -q, -f, -x and -l can be given")
	case v.Hex && v.Raw:
		return errs.New(errs.Invalid, "sql: --binary-as-hex and --skip-binary-as-hex exclude each other")
	case v.Save != "" && v.Query == "":
		return errs.New(errs.Invalid, "sql: -s keeps the query that -q gives")
	case v.Message != "" && v.Save == "":
		return errs.New(errs.Invalid, "sql: -m describes the query that -s keeps")
	}
	return nil
}

// saved gives the statements to be run: those of a saved query where that is asked for, else in.
func (v *sqlVerb) saved(ctx context.Context, s *sqlSession, in io.Reader) (io.Reader, error) {
	const catalog = repo.QueryCatalogTable
	switch {
	case v.List:
		return strings.NewReader("select * from " + catalog + " order by display_order, id"), nil
	case v.Execute != "":
		cells, err := s.one(ctx, "select count(*), coalesce(max(query), '') from "+catalog+" where id = "+quoted(v.Execute))
		if err != nil {
			return nil, errs.New(errs.Invalid, "sql: read the saved query: %s", sqlMessage(err))
		}
		if cells[0] == "0" {
			return nil, errs.New(errs.NotFound, "sql: there is no saved query %s", v.Execute)
		}
		return strings.NewReader(cells[1]), nil
	}
	return in, nil
}

// save keeps the query that was run, if that was asked for.
func (v *sqlVerb) save(ctx context.Context, s *sqlSession) error {
	if v.Save == "" {
		return nil
	}
	const catalog = repo.QueryCatalogTable
	cells, err := s.one(ctx, "select coalesce(max(display_order), 0) + 1 from "+catalog)
	if err == nil {
		name, text, note := quoted(v.Save), quoted(v.Query), quoted(v.Message)
		var a *sqlAnswer
		a, err = s.query(ctx, "insert into "+catalog+" values ("+name+", "+cells[0]+", "+name+", "+text+", "+note+
			") on duplicate key update query = "+text+", description = "+note)
		if err == nil {
			err = a.close()
		}
	}
	if err != nil {
		return errs.New(errs.Invalid, "sql: keep the query: %s", sqlMessage(err))
	}
	return nil
}

// quoted is a text as an SQL string.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}
