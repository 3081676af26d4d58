package op

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// docNames are the documents that a database can have.
var docNames = []string{"README.md", "LICENSE.md", "AGENT.md"}

// checkDoc refuses names that are not of documents.
// docsPrintColumns are the columns of what docs print answers.
var docsPrintColumns = []Column{Text("doc_text")}

func checkDoc(name string) error {
	if slices.Contains(docNames, name) {
		return nil
	}
	return errs.New(errs.Invalid, "invalid doc name '%s', valid names are (%s)", name, strings.Join(docNames, ", "))
}

// DocsPrint is the verb that shows a document.
type DocsPrint struct {
	Name string `arg:"1" required:"true" value:"doc" help:"README.md, LICENSE.md or AGENT.md"`
}

// DocsUpload is the verb that keeps a document in the database.
type DocsUpload struct {
	Name string `arg:"1" required:"true" value:"doc" help:"README.md, LICENSE.md or AGENT.md"`
	File string `arg:"2" required:"true" value:"file" complete:"file" help:"where its text is"`
}

// DocsDiff is the verb that shows how a document differs from that of the last commit.
type DocsDiff struct {
	Name string `arg:"1" required:"true" value:"doc" help:"README.md, LICENSE.md or AGENT.md"`
}

func docsPrintSpec() Spec {
	return Define[DocsPrint](Spec{
		Name: "docs print", Columns: docsPrintColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Print a document of the database",
		Examples: []Example{{"docs print README.md", "what the database says of itself"}},
	})
}

func docsUploadSpec() Spec {
	return Define[DocsUpload](Spec{
		Name: "docs upload", Group: GroupWork, Needs: NeedDatabase,
		Short:    "Keep a document in the database",
		Long:     "The documents are rows of the table dolt_docs, which is versioned like any other.",
		Examples: []Example{{"docs upload README.md README.md", "from the file of that name"}},
	})
}

func docsDiffSpec() Spec {
	return Define[DocsDiff](Spec{
		Name: "docs diff", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show how a document differs from that of the last commit",
		Examples: []Example{{"docs diff README.md", "what the next commit would change in it"}},
	})
}

// docText is the text of a document; ok is false when there is none.
func docText(ctx context.Context, snap *repo.Snapshot, name string) (text string, ok bool, err error) {
	v, _, ok, err := snap.Table(ctx, repo.DocsTable)
	if err != nil || !ok {
		return "", false, err
	}
	s := v.Schema()
	at := s.ColumnIndex("doc_text")
	if at < 0 || len(s.PrimaryKey) != 1 || s.Columns[at].Type.Phys() != value.Bytes || s.Columns[s.ColumnByID(s.PrimaryKey[0].Column)].Type.Phys() != value.Bytes {
		return "", false, errs.New(errs.Invalid, "read %s: it has not the columns doc_name and doc_text", repo.DocsTable)
	}
	key := value.AppendKeyPart(nil, &s.Primary.Parts[0], value.BytesCell([]byte(name)))
	cells := make([]value.Cell, len(s.Columns))
	if ok, err = v.Get(ctx, key, cells); err != nil || !ok {
		return "", false, err
	}
	c, err := table.Resolve(ctx, v.Reader(), cells[at])
	return string(c.Bytes()), err == nil && !c.IsNull(), err
}

// Run prints.
func (c *DocsPrint) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := checkDoc(c.Name); err != nil {
		return nil, err
	}
	snap, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	text, ok, err := docText(ctx, snap, c.Name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errs.New(errs.NotFound, "no such doc: %s", c.Name)
	}
	r := Say("%s", text)
	r.Columns, r.Rows = docsPrintColumns, [][]any{{text}}
	return r, nil
}

// Run keeps.
func (c *DocsUpload) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := checkDoc(c.Name); err != nil {
		return nil, err
	}
	data, err := vfs.ReadFile(s.fs(), s.path(c.File))
	if err != nil {
		return nil, err
	}
	tx, err := s.Repo.Begin(ctx, s.branch())
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	e, err := tx.SystemEditor(ctx, repo.DocsTable)
	if err != nil {
		return nil, err
	}
	sch := e.View().Schema()
	if !sameShape(sch.Schema, repo.SystemSchema(repo.DocsTable)) {
		return nil, errs.New(errs.Invalid, "write %s: it has not the columns doc_name and doc_text", repo.DocsTable)
	}
	row := []value.Cell{value.BytesCell([]byte(c.Name)), value.BytesCell(data)}
	if _, err := e.Delete(ctx, []value.Cell{row[0], value.Null}); err != nil {
		return nil, err
	}
	if err := e.Insert(ctx, row); err != nil {
		return nil, err
	}
	return statusResult(0), tx.Commit(ctx)
}

// sameShape tells whether two schemas have the same columns and key.
func sameShape(a, b *schema.Schema) bool {
	return slices.EqualFunc(a.Columns, b.Columns, func(x, y schema.Column) bool { return x.ID == y.ID && x.Type.Equal(y.Type) }) &&
		slices.Equal(a.PrimaryKey, b.PrimaryKey)
}

// Run compares.
func (c *DocsDiff) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := checkDoc(c.Name); err != nil {
		return nil, err
	}
	work, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	head, err := s.Repo.SnapshotAt(ctx, work.Commit)
	if err != nil {
		return nil, err
	}
	now, okNow, err := docText(ctx, work, c.Name)
	if err != nil {
		return nil, err
	}
	before, okBefore, err := docText(ctx, head, c.Name)
	if err != nil {
		return nil, err
	}
	if !okNow && !okBefore {
		return nil, errs.New(errs.NotFound, "no such doc: %s", c.Name)
	}
	lines := func(text string, ok bool) []string {
		if !ok {
			return nil
		}
		return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	return &Result{Lines: lineDiff(lines(before, okBefore), lines(now, okNow))}, nil
}
