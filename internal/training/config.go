package training

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Item is a table at a revision, or a part of its rows and columns.
type Item struct {
	Database string   `yaml:"database,omitempty" json:"database,omitempty"` // "" is the database that the configuration is used in
	Table    string   `yaml:"table" json:"table"`
	Ref      string   `yaml:"ref" json:"ref"`                             // branch, tag, commit or time; "" is HEAD
	Columns  []string `yaml:"columns,omitempty" json:"columns,omitempty"` // nil for all
	Where    string   `yaml:"where,omitempty" json:"where,omitempty"`     // condition of SQL; "" for none
}

// String is the item as a configuration writes it: "[database:]table@ref".
func (i Item) String() string {
	s := i.Table
	if i.Database != "" {
		s = i.Database + ":" + s
	}
	if i.Ref != "" {
		s += "@" + i.Ref
	}
	return s
}

// Same tells whether two items ask for the same.
func (i Item) Same(j Item) bool {
	return i.Database == j.Database && strings.EqualFold(i.Table, j.Table) && i.Ref == j.Ref && i.Where == j.Where && slices.Equal(i.Columns, j.Columns)
}

// ParseItem reads "[database:]table[@ref]".
func ParseItem(s string) (Item, error) {
	var i Item
	rest := strings.TrimSpace(s)
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest, i.Ref = strings.TrimSpace(rest[:at]), strings.TrimSpace(rest[at+1:])
		if i.Ref == "" {
			return i, errs.New(errs.Invalid, "%q: no revision stands behind @", s)
		}
	}
	if db, table, ok := strings.Cut(rest, ":"); ok {
		i.Database, rest = db, table
	}
	if i.Table = rest; i.Table == "" {
		return i, errs.New(errs.Invalid, "%q: want table@revision, or database:table@revision", s)
	}
	return i, nil
}

// Split is a named list of items, such as train.
type Split struct {
	Name  string
	Items []Item
}

// Policy says from what changes on a model is to be trained anew. The zero Policy means any change.
type Policy struct {
	Never   bool
	Rows    *uint64  // from so many changed rows on
	Percent *float64 // from so many in a hundred of the locked rows on
	Schema  string   // "any" (or "") or "ignore"
	// Drift of any column from which on it is: see Drift.
	NullRate, Mean, Quantile, Top *float64
}

// Any tells whether any change is enough.
func (p *Policy) Any() bool {
	return !p.Never && p.Rows == nil && p.Percent == nil && p.NullRate == nil && p.Mean == nil && p.Quantile == nil && p.Top == nil
}

// Config is a training configuration.
type Config struct {
	Databases map[string]string // names of other databases to their directories
	Splits    []Split
	Retrain   map[string]Policy // by table in lower case
	Default   Policy            // for other tables
}

// Split is the split of that name; ok is false when there is none.
func (c *Config) Split(name string) (Split, bool) {
	i := slices.IndexFunc(c.Splits, func(s Split) bool { return s.Name == name })
	if i < 0 {
		return Split{}, false
	}
	return c.Splits[i], true
}

// Policy is the policy for a table.
func (c *Config) Policy(table string) Policy {
	if p, ok := c.Retrain[strings.ToLower(table)]; ok {
		return p
	}
	return c.Default
}

// Hash names what the configuration asks for: its splits, not how the file is written nor what else it holds.
func (c *Config) Hash() hash.Hash {
	var b []byte
	for _, s := range c.Splits {
		b = fmt.Appendf(b, "split %q\n", s.Name)
		for _, i := range s.Items {
			b = fmt.Appendf(b, "%q %q %q %q %q\n", i.Database, strings.ToLower(i.Table), i.Ref, i.Columns, i.Where)
		}
	}
	return hash.Sum(b)
}

// ParseConfig reads a configuration. Splits are the lists below splits or, without it, every list at the top whose items are tables;
// other keys at the top are left to the training program. file is its name in messages. Scalars count as they are written: a revision
// 1e10 is a revision, not a number.
func ParseConfig(file string, data []byte) (*Config, error) {
	root, err := document(file, data)
	if err != nil {
		return nil, err
	}
	p := &parser{file: file}
	c := &Config{Databases: map[string]string{}, Retrain: map[string]Policy{}}
	var splits *yaml.Node
	err = p.each(root, func(key string, k, v *yaml.Node) error {
		switch key {
		case "splits":
			splits = v
		case "databases":
			return p.each(v, func(name string, _, dir *yaml.Node) (err error) {
				c.Databases[name], err = p.text(dir, "the directory of database "+name)
				return err
			})
		case "retrain":
			return p.policies(v, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	from := splits
	if from == nil {
		from = root
	}
	err = p.each(from, func(key string, k, v *yaml.Node) error {
		if splits == nil && !isSplit(v) {
			return nil
		}
		s, err := p.split(key, v)
		if err != nil {
			return err
		}
		c.Splits = append(c.Splits, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(c.Splits) == 0 {
		return nil, errs.New(errs.Invalid, "%s: it names no tables; want a list such as\ntrain:\n- client_data@main", file)
	}
	return c, nil
}

// document is the one mapping of a YAML file.
func document(file string, data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errs.New(errs.Invalid, "%s: the file is empty", file)
		}
		return nil, errs.New(errs.Invalid, "%s: %w", file, err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errs.New(errs.Invalid, "%s line %d: want keys with values at the top", file, root.Line)
	}
	return root, nil
}

type parser struct{ file string }

func (p *parser) fail(n *yaml.Node, format string, args ...any) error {
	return errs.New(errs.Invalid, "%s line %d: %s", p.file, n.Line, fmt.Sprintf(format, args...))
}

// target is a node behind its aliases.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// each calls fn for the members of a mapping.
func (p *parser) each(n *yaml.Node, fn func(key string, k, v *yaml.Node) error) error {
	if n = target(n); n.Kind != yaml.MappingNode {
		return p.fail(n, "want keys with values")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if seen[k.Value] {
			return p.fail(k, "%s comes twice", k.Value)
		}
		seen[k.Value] = true
		if err := fn(k.Value, k, target(n.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

// text is a scalar as it is written.
func (p *parser) text(n *yaml.Node, what string) (string, error) {
	if n = target(n); n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", p.fail(n, "%s: want one value", what)
	}
	return n.Value, nil
}

// isSplit tells whether a list at the top is one of tables.
func isSplit(n *yaml.Node) bool {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return false
	}
	for _, item := range n.Content {
		switch item = target(item); item.Kind {
		case yaml.ScalarNode:
			if !strings.Contains(item.Value, "@") {
				return false
			}
		case yaml.MappingNode:
			if !slices.ContainsFunc(item.Content, func(k *yaml.Node) bool { return k.Value == "table" }) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (p *parser) split(name string, n *yaml.Node) (Split, error) {
	s := Split{Name: name}
	if n.Kind != yaml.SequenceNode {
		return s, p.fail(n, "split %s: want a list of tables", name)
	}
	for _, node := range n.Content {
		item, err := p.item(target(node))
		if err != nil {
			return s, err
		}
		for _, other := range s.Items {
			if other.Same(item) {
				return s, p.fail(node, "split %s names %s twice", name, item)
			}
		}
		s.Items = append(s.Items, item)
	}
	return s, nil
}

func (p *parser) item(n *yaml.Node) (Item, error) {
	if n.Kind == yaml.ScalarNode {
		i, err := ParseItem(n.Value)
		if err != nil {
			return i, p.fail(n, "%v", err)
		}
		return i, nil
	}
	var i Item
	var table, ref, database string
	err := p.each(n, func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "table":
			table, err = p.text(v, key)
		case "ref", "revision", "commit":
			ref, err = p.text(v, key)
		case "database":
			database, err = p.text(v, key)
		case "where":
			i.Where, err = p.text(v, key)
		case "columns":
			if v.Kind != yaml.SequenceNode {
				return p.fail(v, "columns: want a list")
			}
			for _, c := range v.Content {
				name, err := p.text(c, "columns")
				if err != nil {
					return err
				}
				i.Columns = append(i.Columns, name)
			}
		default:
			return p.fail(k, "%s is not known here; an item has table, ref, database, columns and where", key)
		}
		return err
	})
	if err != nil {
		return i, err
	}
	parsed, err := ParseItem(table)
	if err != nil {
		return i, p.fail(n, "%v", err)
	}
	for _, both := range [][2]string{{parsed.Ref, ref}, {parsed.Database, database}} {
		if both[0] != "" && both[1] != "" && both[0] != both[1] {
			return i, p.fail(n, "%s says %s as well as %s", table, both[0], both[1])
		}
	}
	i.Table, i.Ref, i.Database = parsed.Table, parsed.Ref+ref, parsed.Database+database
	if parsed.Ref == ref {
		i.Ref = ref
	}
	if parsed.Database == database {
		i.Database = database
	}
	return i, nil
}

func (p *parser) policies(n *yaml.Node, c *Config) error {
	if n.Kind == yaml.ScalarNode {
		var err error
		c.Default, err = p.policy(n)
		return err
	}
	return p.each(n, func(key string, k, v *yaml.Node) error {
		pol, err := p.policy(v)
		if err != nil {
			return err
		}
		if key == "default" {
			c.Default = pol
		} else {
			c.Retrain[strings.ToLower(key)] = pol
		}
		return nil
	})
}

func (p *parser) policy(n *yaml.Node) (Policy, error) {
	var pol Policy
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "any":
		case "never":
			pol.Never = true
		default:
			return pol, p.fail(n, "%q: want any, never, or limits such as {rows: 500, percent: 1}", n.Value)
		}
		return pol, nil
	}
	number := func(dst **float64, v *yaml.Node, key string) error {
		text, err := p.text(v, key)
		if err != nil {
			return err
		}
		f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil || f < 0 {
			return p.fail(v, "%s %q: want a number that is not negative", key, text)
		}
		*dst = &f
		return nil
	}
	err := p.each(n, func(key string, k, v *yaml.Node) error {
		switch key {
		case "rows":
			text, err := p.text(v, key)
			if err != nil {
				return err
			}
			rows, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 64)
			if err != nil {
				return p.fail(v, "rows %q: want a whole number", text)
			}
			pol.Rows = &rows
			return nil
		case "percent", "pct":
			return number(&pol.Percent, v, key)
		case "schema":
			text, err := p.text(v, key)
			if err == nil && text != "any" && text != "ignore" {
				return p.fail(v, "schema %q: want any or ignore", text)
			}
			pol.Schema = text
			return err
		case "drift":
			return p.each(v, func(key string, k, v *yaml.Node) error {
				switch key {
				case "null_rate":
					return number(&pol.NullRate, v, key)
				case "mean":
					return number(&pol.Mean, v, key)
				case "quantile":
					return number(&pol.Quantile, v, key)
				case "top":
					return number(&pol.Top, v, key)
				}
				return p.fail(k, "drift: %s is not known; there are null_rate, mean, quantile and top", key)
			})
		}
		return p.fail(k, "%s is not known; a policy has rows, percent, schema and drift", key)
	})
	return pol, err
}
