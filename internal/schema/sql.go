package schema

import (
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/value"
)

// CreateTable is the statement that makes a table of this name with the schema, laid out as MySQL's SHOW CREATE TABLE.
func (s *Schema) CreateTable(name string) string {
	var lines []string
	for i := range s.Columns {
		lines = append(lines, "  "+s.columnSQL(i))
	}
	if !s.Keyless() {
		lines = append(lines, "  PRIMARY KEY ("+s.partsSQL(s.PrimaryKey)+")")
	}
	for i := range s.Indexes {
		x := &s.Indexes[i]
		l := "  "
		if x.Unique {
			l += "UNIQUE "
		}
		l += "KEY " + quoteName(x.Name) + " (" + s.partsSQL(x.Columns) + ")"
		if x.Comment != "" {
			l += " COMMENT " + quoteText(x.Comment)
		}
		lines = append(lines, l)
	}
	for i := range s.References {
		lines = append(lines, "  "+s.referenceSQL(&s.References[i]))
	}
	for _, c := range s.Checks {
		l := "  CONSTRAINT " + quoteName(c.Name) + " CHECK " + c.Expr
		if !c.Enforced {
			l += " /*!80016 NOT ENFORCED */"
		}
		lines = append(lines, l)
	}
	out := "CREATE TABLE " + quoteName(name) + " (\n" + strings.Join(lines, ",\n") + "\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=" + s.collation().String()
	if s.Comment != "" {
		out += " COMMENT=" + quoteText(s.Comment)
	}
	return out + ";"
}

func (s *Schema) referenceSQL(f *ForeignKey) string {
	var own, other []string
	for k, id := range f.Columns {
		if c := s.ColumnByID(id); c >= 0 {
			own = append(own, quoteName(s.Columns[c].Name))
		}
		other = append(other, quoteName(f.ParentColumns[k]))
	}
	l := "CONSTRAINT " + quoteName(f.Name) + " FOREIGN KEY (" + strings.Join(own, ",") + ") REFERENCES " + quoteName(f.Parent) + " (" + strings.Join(other, ",") + ")"
	if f.OnDelete != ActionNone {
		l += " ON DELETE " + f.OnDelete.String()
	}
	if f.OnUpdate != ActionNone {
		l += " ON UPDATE " + f.OnUpdate.String()
	}
	return l
}

func (s *Schema) collation() value.Collation {
	if s.Collation == value.CollationNone {
		return value.CollationUtf8mb40900Bin
	}
	return s.Collation
}

func (s *Schema) columnSQL(i int) string {
	c := &s.Columns[i]
	l := quoteName(c.Name) + " " + c.Type.String()
	if c.Type.Collation != value.CollationNone && c.Type.Collation != value.CollationBinary && c.Type.Collation != s.collation() {
		l += " COLLATE " + c.Type.Collation.String()
	}
	if c.Generated != "" {
		l += " GENERATED ALWAYS AS " + c.Generated
		if c.Stored {
			l += " STORED"
		}
	}
	if !c.Nullable {
		l += " NOT NULL"
	}
	if c.AutoIncrement {
		l += " AUTO_INCREMENT"
	}
	if c.HasDefault {
		l += " DEFAULT " + c.Default
	}
	if c.OnUpdate != "" {
		l += " ON UPDATE " + c.OnUpdate
	}
	if c.Comment != "" {
		l += " COMMENT " + quoteText(c.Comment)
	}
	return l
}

func (s *Schema) partsSQL(cols []IndexColumn) string {
	parts := make([]string, len(cols))
	for i, k := range cols {
		if c := s.ColumnByID(k.Column); c >= 0 {
			parts[i] = quoteName(s.Columns[c].Name)
		}
		if k.Prefix > 0 {
			parts[i] += fmt.Sprintf("(%d)", k.Prefix)
		}
		if k.Desc {
			parts[i] += " DESC"
		}
	}
	return strings.Join(parts, ",")
}

func quoteName(n string) string { return "`" + strings.ReplaceAll(n, "`", "``") + "`" }

func quoteText(t string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(t) + "'"
}
