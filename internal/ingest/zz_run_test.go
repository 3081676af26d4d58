package ingest_test

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

func TestZZRun(t *testing.T) {
	path := os.Getenv("ZZ")
	if path == "" {
		t.Skip()
	}
	ctx := context.Background()
	dir := "/tmp/ingest/db"
	os.RemoveAll(dir)
	sig := history.Signature{Name: "a", Email: "b", Time: time.Now()}
	if err := repo.Init(ctx, vfs.OS{}, dir, repo.InitOptions{Author: sig, Committer: sig}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(ctx, vfs.OS{}, dir, repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := vfs.OS{}.Open(path)
	n, _ := f.Size()
	src := ingest.Source{Name: "prices.csv", R: f, Size: n}
	h, err := ingest.ReadHead(src, ingest.Format{Comma: ','})
	if err != nil {
		t.Fatal(err)
	}
	t0 := time.Now()
	in, err := ingest.Infer(ctx, src, ingest.InferOptions{Format: ingest.Format{Comma: ','}, Names: h.Names, Keys: os.Getenv("KEYS") != ""})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("infer", time.Since(t0), in.Rows, in.Types, in.Unique, in.KeysKnown)
	s := &schema.Schema{}
	for i, nm := range h.Names {
		c := schema.Column{Name: nm, Type: in.Types[i], Nullable: i > 2}
		c.ID = schema.AssignID(nm, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
		if i < 3 && os.Getenv("KEYLESS") == "" {
			s.PrimaryKey = append(s.PrimaryKey, schema.IndexColumn{Column: c.ID})
		}
	}
	cs, err := schema.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	tx, _ := r.Begin(ctx, "main")
	if p := os.Getenv("PROF"); p != "" {
		pf, _ := os.Create(p)
		pprof.StartCPUProfile(pf)
	}
	t0 = time.Now()
	tab, st, err := ingest.Load(ctx, tx.Store(), table.Empty(cs), src, ingest.LoadOptions{
		LoadOptions: table.LoadOptions{FS: vfs.OS{}, TempDir: r.TempDir()}, Names: h.Names, Columns: []int{0, 1, 2, 3}, Format: ingest.Format{Comma: ','}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("load", time.Since(t0), st, tab.Hash())
	if err := tx.PutTable(ctx, "prices", tab); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	pprof.StopCPUProfile()
	fmt.Println("commit", time.Since(t0))
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range splitLines(string(b)) {
		if len(l) > 5 && l[:5] == "VmHWM" {
			fmt.Println(l)
		}
	}
}

func splitLines(s string) (out []string) {
	for i, j := 0, 0; j < len(s); j++ {
		if s[j] == '\n' {
			out = append(out, s[i:j])
			i = j + 1
		}
	}
	return
}
