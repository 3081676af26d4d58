package schema_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

func sample() *schema.Schema {
	s := &schema.Schema{Collation: value.CollationUtf8mb40900AiCi, Target: 8192}
	for _, c := range []schema.Column{
		{Name: "id", Type: value.Type{Kind: value.KindInt64}, AutoIncrement: true, Comment: "the key"},
		{Name: "Mail", Type: value.Type{Kind: value.KindVarchar, Length: 50, Collation: value.CollationUtf8mb40900Bin}, Nullable: true},
		{Name: "price", Type: value.Type{Kind: value.KindDecimal, Precision: 10, Scale: 2}, HasDefault: true, Default: "1.50", Absent: value.IntCell(150)},
		{Name: "kind", Type: value.Type{Kind: value.KindEnum, Values: []string{"a", "b"}, Collation: value.CollationUtf8mb40900Bin}, Nullable: true},
		{Name: "at", Type: value.Type{Kind: value.KindTimestamp, Precision: 6}, OnUpdate: "CURRENT_TIMESTAMP(6)", Nullable: true},
		{Name: "double", Type: value.Type{Kind: value.KindFloat64}, Generated: "(price * 2)", Stored: true, Nullable: true},
	} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID, Desc: true}}
	s.Indexes = []schema.Index{
		{Name: "mail", Unique: true, Columns: []schema.IndexColumn{{Column: s.Columns[1].ID, Prefix: 5}}, Comment: "c"},
		{Name: "two", Columns: []schema.IndexColumn{{Column: s.Columns[3].ID, Desc: true}, {Column: s.Columns[0].ID}}},
	}
	s.Checks = []schema.Check{{Name: "positive", Expr: "(price > 0)", Enforced: true}, {Name: "off", Expr: "(1)"}}
	s.References = []schema.ForeignKey{{Name: "fk", Columns: []uint64{s.Columns[0].ID}, Parent: "Other", ParentColumns: []string{"id"}, OnDelete: schema.ActionCascade}}
	s.Comment = "all of it"
	return s
}

func TestGolden(t *testing.T) {
	const want = "7o7mtl77plc51c9g7ppl0a3q3a9gg6g75n5ap32jj0l4ishld1l0"
	if got := hash.Sum(sample().Encode()).Full(); got != want {
		t.Errorf("hash %s, want %s: %s", got, want, hex.EncodeToString(sample().Encode()))
	}
	for _, c := range []struct {
		name string
		kind value.Kind
		want string
	}{{"id", value.KindInt64, "f3125c5acca12ceb"}, {"ID", value.KindUint8, "f3125c5acca12ceb"}, {"id", value.KindText, "6145565c5091a3e5"}} {
		if got := fmt.Sprintf("%x", schema.AssignID(c.name, value.Type{Kind: c.kind}, nil, nil)); got != c.want {
			t.Errorf("id of column %s, kind %d: %s, want %s", c.name, c.kind, got, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	s := sample()
	st := chunk.NewMem()
	h, err := s.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	var cache schema.Cache
	c, err := cache.Get(ctx, st, h)
	if err != nil {
		t.Fatal(err)
	}
	if c.Hash != h {
		t.Errorf("hash %s, want %s", c.Hash, h)
	}
	if again, err := cache.Get(ctx, st, h); err != nil || again != c {
		t.Errorf("the cache reads a schema twice (%v)", err)
	}
	back, err := c.Schema.WithComments(s.EncodeComments())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, s) {
		t.Errorf("read back\n%+v\nwant\n%+v", back, s)
	}
	if c.Comment != "" || c.Columns[0].Comment != "" || c.Indexes[0].Comment != "" {
		t.Error("comments are part of the schema's bytes")
	}
	if back.CreateTable("t") != s.CreateTable("t") {
		t.Error("the statements differ")
	}
	if _, err := cache.Get(ctx, st, hash.Sum(nil)); !errs.Is(err, errs.NotFound) {
		t.Errorf("a schema that is not there: %v", err)
	}
}

// TestHashCounts checks that every part of a schema but its comments is part of its hash.
func TestHashCounts(t *testing.T) {
	base := hash.Sum(sample().Encode())
	for name, change := range map[string]func(*schema.Schema){
		"column id":      func(s *schema.Schema) { s.Columns[5].ID++ },
		"column name":    func(s *schema.Schema) { s.Columns[1].Name = "mail" },
		"type":           func(s *schema.Schema) { s.Columns[1].Type.Length = 51 },
		"nullable":       func(s *schema.Schema) { s.Columns[0].Nullable = true },
		"no default":     func(s *schema.Schema) { s.Columns[2].HasDefault = false },
		"default":        func(s *schema.Schema) { s.Columns[2].Default = "1.5" },
		"on update":      func(s *schema.Schema) { s.Columns[4].OnUpdate = "" },
		"generated":      func(s *schema.Schema) { s.Columns[5].Generated = "(1)" },
		"stored":         func(s *schema.Schema) { s.Columns[5].Stored = false },
		"auto increment": func(s *schema.Schema) { s.Columns[0].AutoIncrement = false },
		"absent":         func(s *schema.Schema) { s.Columns[2].Absent = value.IntCell(151) },
		"absent is null": func(s *schema.Schema) { s.Columns[2].Absent = value.Null },
		"no key":         func(s *schema.Schema) { s.PrimaryKey = nil },
		"key ascending":  func(s *schema.Schema) { s.PrimaryKey[0].Desc = false },
		"index name":     func(s *schema.Schema) { s.Indexes[0].Name = "m" },
		"not unique":     func(s *schema.Schema) { s.Indexes[0].Unique = false },
		"prefix":         func(s *schema.Schema) { s.Indexes[0].Columns[0].Prefix = 6 },
		"index order":    func(s *schema.Schema) { s.Indexes[0], s.Indexes[1] = s.Indexes[1], s.Indexes[0] },
		"check":          func(s *schema.Schema) { s.Checks[1].Enforced = true },
		"parent":         func(s *schema.Schema) { s.References[0].Parent = "other" },
		"action":         func(s *schema.Schema) { s.References[0].OnUpdate = schema.ActionSetNull },
		"collation":      func(s *schema.Schema) { s.Collation = value.CollationNone },
		"target":         func(s *schema.Schema) { s.Target = 0 },
	} {
		s := sample()
		change(s)
		if hash.Sum(s.Encode()) == base {
			t.Errorf("%s is not part of the hash", name)
		}
	}
	s := sample()
	s.Comment, s.Columns[0].Comment, s.Indexes[0].Comment = "", "", ""
	if hash.Sum(s.Encode()) != base {
		t.Error("comments are part of the hash")
	}
	if s.EncodeComments() != nil {
		t.Error("no comments take bytes")
	}
}

func TestCloneIsApart(t *testing.T) {
	s := sample()
	c := s.Clone()
	c.Columns[0].Name, c.PrimaryKey[0].Desc, c.Indexes[0].Name, c.Checks[0].Name = "x", false, "x", "x"
	if !reflect.DeepEqual(s, sample()) {
		t.Error("changing a clone changes its origin")
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*schema.Schema)
		want   string
	}{
		"no columns":       {func(s *schema.Schema) { s.Columns = nil }, "at least one column"},
		"same name":        {func(s *schema.Schema) { s.Columns[1].Name = "ID" }, "duplicate column name"},
		"same id":          {func(s *schema.Schema) { s.Columns[1].ID = s.Columns[0].ID }, "is taken"},
		"reserved id":      {func(s *schema.Schema) { s.Columns[1].ID = schema.RowIDColumn }, "is taken"},
		"key of nothing":   {func(s *schema.Schema) { s.PrimaryKey[0].Column = 5 }, "does not exist"},
		"index of nothing": {func(s *schema.Schema) { s.Indexes[1].Columns[0].Column = 5 }, "does not exist"},
		"empty index":      {func(s *schema.Schema) { s.Indexes[1].Columns = nil }, "has no columns"},
		"same index":       {func(s *schema.Schema) { s.Indexes[1].Name = "MAIL" }, "duplicate index name"},
		"column twice":     {func(s *schema.Schema) { s.Indexes[1].Columns[1] = s.Indexes[1].Columns[0] }, "twice"},
	} {
		s := sample()
		c.change(s)
		if err := s.Validate(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := schema.Compile(s); err == nil {
			t.Errorf("%s compiles", name)
		}
		if _, err := schema.Decode(s.Encode()); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s decodes: %v", name, err)
		}
	}
	if err := sample().Validate(); err != nil {
		t.Error(err)
	}
}

// TestAssignID checks that an id depends on name, family and what is taken, and on nothing else.
func TestAssignID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cols []schema.Column
		var taken []uint64
		names := []string{"a", "A", "b"}
		kinds := []value.Kind{value.KindInt8, value.KindUint64, value.KindText, value.KindJSON}
		for range rapid.IntRange(0, 8).Draw(t, "columns") {
			c := schema.Column{Name: rapid.SampledFrom(names).Draw(t, "name"), Type: value.Type{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}}
			c.ID = schema.AssignID(c.Name, c.Type, cols, taken)
			for _, x := range cols {
				if x.ID == c.ID {
					t.Fatalf("id %x is given twice", c.ID)
				}
			}
			first := schema.AssignID(strings.ToLower(c.Name), c.Type, nil, nil)
			same := 0
			for _, x := range cols {
				if schema.AssignID(x.Name, x.Type, nil, nil) == first {
					same++
				}
			}
			if (same == 0) != (c.ID == first) {
				t.Fatalf("id %x, the first for its name and family is %x, %d columns have that name and family", c.ID, first, same)
			}
			if rapid.Bool().Draw(t, "dropped") {
				taken = append(taken, c.ID)
				if again := schema.AssignID(c.Name, c.Type, cols, taken); again == c.ID {
					t.Fatal("the id of a dropped column is given again")
				}
				taken = taken[:len(taken)-1]
			}
			cols = append(cols, c)
		}
	})
}

func TestComments(t *testing.T) {
	s := sample()
	b := s.EncodeComments()
	for n := 1; n < len(b); n++ {
		if _, err := s.WithComments(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := s.WithComments(append(bytes.Clone(b), 0)); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	short := s.Clone()
	short.Columns = short.Columns[:5]
	if _, err := short.WithComments(b); !errs.Is(err, errs.Corrupt) {
		t.Errorf("comments of another table: %v", err)
	}
	if got, err := s.WithComments(nil); err != nil || got != s {
		t.Errorf("no comments: %v", err)
	}
}

// FuzzDecode reads schemas: what is accepted is what is written.
func FuzzDecode(f *testing.F) {
	f.Add(sample().Encode())
	f.Add((&schema.Schema{Columns: []schema.Column{{ID: 9, Name: "a", Type: value.Type{Kind: value.KindInt8}}}}).Encode())
	for _, version := range []byte{1, schema.Version + 1} {
		f.Add([]byte{byte(chunk.KindSchema), version})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := schema.Decode(b)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) && !errs.Is(err, errs.Unsupported) {
				t.Errorf("error %v", err)
			}
			return
		}
		if got := s.Encode(); !bytes.Equal(got, b) {
			t.Errorf("%x is read but written as %x", b, got)
		}
		if _, err := schema.Compile(s); err == nil {
			_ = s.CreateTable("t")
		}
	})
}

func FuzzComments(f *testing.F) {
	f.Add(sample().EncodeComments())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := sample().WithComments(b)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			t.Errorf("error %v", err)
		}
		if err == nil && len(b) > 0 && s.EncodeComments() != nil && !bytes.Equal(s.EncodeComments(), b) {
			t.Errorf("%x is read but written as %x", b, s.EncodeComments())
		}
	})
}
