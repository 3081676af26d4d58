package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/stemmadb/stemma/bench/data"
)

const documentsTable = "create table documents (id bigint primary key, label varchar(32), split varchar(8), body text)"

// benchDocuments loads documents of about 4 KB with the command line, edits a sentence of some and reads all of them.
func benchDocuments(ctx context.Context, e *env) error {
	n := max(e.rows/50, 1000)
	edited := n / 200
	docs := data.NewDocuments()
	all, err := e.file(fmt.Sprintf("documents-%d.csv", n), func(w io.Writer) error { return docs.Write(w, data.Numbers(n), 0) })
	if err != nil {
		return err
	}
	some, err := e.file(fmt.Sprintf("documents-%d-edited.csv", n), func(w io.Writer) error {
		return docs.Write(w, rand.New(rand.NewPCG(71, 1)).Perm(n)[:edited], 1)
	})
	if err != nil {
		return err
	}
	figures := map[string]map[string]float64{}
	for k := len(e.systems) - 1; k >= 0; k-- { // stemma last: its limits are what the peer took
		s := e.systems[k]
		f, err := e.documents(ctx, s, all, some, n)
		if err != nil {
			return err
		}
		figures[s.name] = f
	}
	limits := map[string]*limit{}
	if peer := figures["dolt"]; peer != nil {
		limits = map[string]*limit{"directory": atMost(peer["directory"]), "growth": atMost(peer["growth"]), "read": atLeast(5 * peer["read"])}
	}
	for _, s := range e.systems {
		f := figures[s.name]
		e.recordOf(s.name, fmt.Sprintf("import of %d documents", n), "s", nil, f["import"])
		e.recordOf(s.name, "import: peak memory", "MB", nil, f["memory"])
		e.recordOf(s.name, "directory", "MB", limits["directory"], f["directory"])
		e.recordOf(s.name, fmt.Sprintf("import and commit of %d edited documents", edited), "s", nil, f["edit"])
		e.recordOf(s.name, "growth of the directory by that commit", "MB", limits["growth"], f["growth"])
		e.recordOf(s.name, "read (stemma: to batches; peers: over the wire)", "rows/s", limits["read"], f["read"])
	}
	return nil
}

// documents measures one system.
func (e *env) documents(ctx context.Context, s *system, all, some string, n int) (map[string]float64, error) {
	dir, err := s.fresh(ctx, "documents")
	if err != nil {
		return nil, err
	}
	if _, _, err := s.command(ctx, dir, "sql", "-q", documentsTable); err != nil {
		return nil, err
	}
	_, load, err := s.command(ctx, dir, "table", "import", "-u", "documents", all)
	if err != nil {
		return nil, err
	}
	if err := s.commitAll(ctx, dir, "load"); err != nil {
		return nil, err
	}
	before, err := du(dir)
	if err != nil {
		return nil, err
	}
	edit, err := seconds(func() error {
		if _, _, err := s.command(ctx, dir, "table", "import", "-u", "documents", some); err != nil {
			return err
		}
		return s.commitAll(ctx, dir, "edit")
	})
	if err != nil {
		return nil, err
	}
	after, err := du(dir)
	if err != nil {
		return nil, err
	}
	readAll := e.readDocuments
	if s != e.own() {
		readAll = func(ctx context.Context, dir string) (float64, error) {
			return readDocumentsSQL(ctx, s, dir, n, e.peerCount)
		}
	}
	rate, err := readAll(ctx, dir)
	if err != nil {
		return nil, err
	}
	return map[string]float64{
		"import": load.Seconds, "memory": float64(load.Peak) / 1e6, "directory": float64(before) / 1e6,
		"edit": edit, "growth": float64(after-before) / 1e6, "read": rate,
	}, nil
}

// readDocuments reads all documents into batches in this process.
func (e *env) readDocuments(ctx context.Context, dir string) (rate float64, err error) {
	r, err := openRepo(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	v, err := workingTable(ctx, r, "documents")
	if err != nil {
		return 0, err
	}
	var rows int64
	times, err := repeat(e.count, func() (err error) {
		rows, err = scanBatches(ctx, v, true)
		return err
	})
	return float64(rows) / median(times) * 1e3, err
}

// readDocumentsSQL reads them over the wire.
func readDocumentsSQL(ctx context.Context, s *system, dir string, n, count int) (rate float64, err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	times, err := repeat(count, func() error { return reads(ctx, v, "select * from documents", n) })
	return float64(n) / median(times) * 1e3, err
}
