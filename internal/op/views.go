package op

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
)

// viewsOf are the views of a state, sorted by name, without those that a table of their name hides.
func viewsOf(ctx context.Context, snap *repo.Snapshot) ([]repo.Fragment, error) {
	all, err := repo.ViewsIn(ctx, snap)
	if err != nil {
		return nil, err
	}
	var out []repo.Fragment
	for _, f := range all {
		if _, _, hidden, err := snap.Table(ctx, f.Name); err != nil {
			return nil, err
		} else if !hidden {
			out = append(out, f)
		}
	}
	return out, nil
}

// notATable is the error for a name that no table of a state has.
func notATable(ctx context.Context, snap *repo.Snapshot, name string) error {
	f, err := repo.ViewIn(ctx, snap, name)
	if err != nil {
		return err
	}
	if f != nil {
		return errs.New(errs.NotFound, `%s is a view, not a table; what it shows is read with: %s`, f.Name, "stemma sql -r csv -q 'select * from "+schema.QuoteName(f.Name)+"'")
	}
	names, err := snap.TableNames(ctx)
	if err != nil {
		return err
	}
	return offering(errs.NotFound, errs.Nearest(name, names), "table not found: %s", name)
}

// inOrder is views in an order in which they can be made: behind those that their statements name.
func inOrder(views []repo.Fragment) []repo.Fragment {
	byName := map[string]int{}
	for i, f := range views {
		byName[strings.ToLower(f.Name)] = i
	}
	var out []repo.Fragment
	done := make([]bool, len(views))
	var put func(i int)
	put = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		for _, n := range namesIn(views[i].Text) {
			if j, ok := byName[n]; ok {
				put(j)
			}
		}
		out = append(out, views[i])
	}
	for i := range views {
		put(i)
	}
	return out
}

// namesIn are the words of a statement in lower case, what is in backquotes as one.
func namesIn(text string) []string {
	var out []string
	for i, part := range strings.Split(strings.ToLower(text), "`") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.FieldsFunc(part, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '$' })...)
	}
	return out
}

// viewStatement is the statement of a view with what ends it; a comment at its end does not swallow that.
func viewStatement(f *repo.Fragment) string {
	last := f.Text[strings.LastIndexByte(f.Text, '\n')+1:]
	if strings.Contains(last, "--") || strings.Contains(last, "#") {
		return f.Text + "\n;\n"
	}
	return f.Text + ";\n"
}

// viewExtra is what of the column extra of a view says how its statement is read.
type viewExtra struct {
	Database string `json:"database"` // of tables that it names without one
	Self     string `json:"self"`     // what it calls its own database
}

// dumpViews are the statements of a dump that make views in a database; "" is the current one, whatever it is called. What views cannot be
// made by statements is said.
func dumpViews(views []repo.Fragment, database, self string) (text string, left []string) {
	var b strings.Builder
	mode, in := "\x00", database
	use := func(name string) {
		if !strings.EqualFold(name, in) {
			b.WriteString("USE " + schema.QuoteName(name) + ";\n")
			in = name
		}
	}
	for _, f := range inOrder(views) {
		var extra viewExtra
		if f.Extra != "" {
			_ = json.Unmarshal([]byte(f.Extra), &extra) // what others have put there says nothing
		}
		if extra.Self != "" && !strings.EqualFold(extra.Self, self) {
			left = append(left, "view "+f.Name+", which calls its database "+extra.Self)
			continue
		}
		if extra.Database != "" {
			named, at := " VIEW "+schema.QuoteName(f.Name)+" ", -1
			if database != "" {
				at = strings.Index(f.Text, named)
			}
			if at < 0 {
				left = append(left, "view "+f.Name+", whose tables without a database are those of "+extra.Database)
				continue
			}
			f.Text = f.Text[:at] + " VIEW " + schema.QuoteName(database) + "." + f.Text[at+len(" VIEW "):]
			use(extra.Database)
		} else {
			use(database)
		}
		if want := modesOfMySQL(f.SQLMode); want != mode {
			if mode == "\x00" {
				b.WriteString("SET @old_sql_mode=@@sql_mode;\n")
			}
			b.WriteString("SET sql_mode=" + schema.QuoteText(want) + ";\n")
			mode = want
		}
		name := schema.QuoteName(f.Name)
		if extra.Database != "" {
			name = schema.QuoteName(database) + "." + name
		}
		b.WriteString("DROP VIEW IF EXISTS " + name + ";\n" + viewStatement(&f))
	}
	use(database)
	if mode != "\x00" {
		b.WriteString("SET sql_mode=@old_sql_mode;\n")
	}
	return b.String(), left
}

// modesOfMySQL are those of an sql_mode's modes that MySQL 8 knows.
func modesOfMySQL(mode string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(strings.ToUpper(mode), ","), func(m string) bool {
		return !slices.Contains([]string{
			"ALLOW_INVALID_DATES", "ANSI", "ANSI_QUOTES", "ERROR_FOR_DIVISION_BY_ZERO", "HIGH_NOT_PRECEDENCE", "IGNORE_SPACE", "NO_AUTO_VALUE_ON_ZERO",
			"NO_BACKSLASH_ESCAPES", "NO_DIR_IN_CREATE", "NO_ENGINE_SUBSTITUTION", "NO_UNSIGNED_SUBTRACTION", "NO_ZERO_DATE", "NO_ZERO_IN_DATE",
			"ONLY_FULL_GROUP_BY", "PAD_CHAR_TO_FULL_LENGTH", "PIPES_AS_CONCAT", "REAL_AS_FLOAT", "STRICT_ALL_TABLES", "STRICT_TRANS_TABLES",
			"TIME_TRUNCATE_FRACTIONAL", "TRADITIONAL",
		}, m)
	}), ",")
}
