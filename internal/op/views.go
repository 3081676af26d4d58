package op

import (
	"context"
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

// dumpViews are the statements of a dump that make views.
func dumpViews(views []repo.Fragment) string {
	var b strings.Builder
	mode := ""
	for _, f := range inOrder(views) {
		if want := parsing(f.SQLMode); want != mode {
			switch {
			case want == "":
				b.WriteString("SET sql_mode=@old_sql_mode;\n")
			case mode == "":
				b.WriteString("SET @old_sql_mode=@@sql_mode;\nSET sql_mode=" + schema.QuoteText(want) + ";\n")
			default:
				b.WriteString("SET sql_mode=" + schema.QuoteText(want) + ";\n")
			}
			mode = want
		}
		b.WriteString("DROP VIEW IF EXISTS " + schema.QuoteName(f.Name) + ";\n" + f.Text + ";\n")
	}
	if mode != "" {
		b.WriteString("SET sql_mode=@old_sql_mode;\n")
	}
	return b.String()
}

// parsing are those of an sql_mode's modes that decide how a statement is read.
func parsing(mode string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(strings.ToUpper(mode), ","), func(m string) bool {
		return !slices.Contains([]string{"ANSI", "ANSI_QUOTES", "PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE"}, m)
	}), ",")
}
