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
		lines = append(lines, "  "+s.ColumnSQL(i))
	}
	if !s.Keyless() {
		lines = append(lines, "  PRIMARY KEY ("+s.PartsSQL(s.PrimaryKey)+")")
	}
	for i := range s.Indexes {
		x := &s.Indexes[i]
		l := "  "
		if x.Unique {
			l += "UNIQUE "
		}
		l += "KEY " + QuoteName(x.Name) + " (" + s.PartsSQL(x.Columns) + ")"
		if x.Comment != "" {
			l += " COMMENT " + QuoteText(x.Comment)
		}
		lines = append(lines, l)
	}
	for i := range s.References {
		lines = append(lines, "  "+s.ReferenceSQL(&s.References[i]))
	}
	for _, c := range s.Checks {
		l := "  CONSTRAINT " + QuoteName(c.Name) + " CHECK " + c.Expr
		if !c.Enforced {
			l += " /*!80016 NOT ENFORCED */"
		}
		lines = append(lines, l)
	}
	out := "CREATE TABLE " + QuoteName(name) + " (\n" + strings.Join(lines, ",\n") + "\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=" + s.collation().String()
	if s.Comment != "" {
		out += " COMMENT=" + QuoteText(s.Comment)
	}
	return out + ";"
}

// ReferenceSQL is the definition of a foreign key, as CREATE TABLE and ALTER TABLE have it.
func (s *Schema) ReferenceSQL(f *ForeignKey) string {
	var own, other []string
	for k, id := range f.Columns {
		if c := s.ColumnByID(id); c >= 0 {
			own = append(own, QuoteName(s.Columns[c].Name))
		}
		other = append(other, QuoteName(f.ParentColumns[k]))
	}
	l := "CONSTRAINT " + QuoteName(f.Name) + " FOREIGN KEY (" + strings.Join(own, ",") + ") REFERENCES " + QuoteName(f.Parent) + " (" + strings.Join(other, ",") + ")"
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

// ColumnSQL is the definition of a column, by position, as CREATE TABLE and ALTER TABLE have it.
func (s *Schema) ColumnSQL(i int) string {
	c := &s.Columns[i]
	l := QuoteName(c.Name) + " " + c.Type.String()
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
		l += " COMMENT " + QuoteText(c.Comment)
	}
	return l
}

// PartsSQL is a list of columns as the definition of a key or an index has it, without parentheses.
func (s *Schema) PartsSQL(cols []IndexColumn) string {
	parts := make([]string, len(cols))
	for i, k := range cols {
		if c := s.ColumnByID(k.Column); c >= 0 {
			parts[i] = QuoteName(s.Columns[c].Name)
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

// QuoteName is an identifier in back quotes.
func QuoteName(n string) string { return "`" + strings.ReplaceAll(n, "`", "``") + "`" }

// QuoteText is a text as an SQL string.
func QuoteText(t string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(t) + "'"
}
