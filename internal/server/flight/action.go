package flight

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// protocol is the number of the protocol that docs/design/accepted/0007-arrow.md describes.
const protocol = 1

// action is an action of DoAction: JSON in, JSON out.
type action struct {
	name string
	help string
	run  func(s *service, ctx context.Context, c *call, body []byte) (any, error)
}

// actions are the actions, in the order in which they are listed.
func actions() []action {
	return []action{
		{"stemma.ping", "what answers here", (*service).ping},
		{"stemma.ops", "the verbs and their parameters", (*service).ops},
		{"stemma.op", "run a verb: {op, args, dir}", (*service).op},
		{"stemma.resolve", "the commit and the table that a ref means: {ref, table, database}", (*service).resolve},
		{"stemma.partitions", "ranges of rows of a table: {table, ref, n, database}", (*service).partitions},
		{"stemma.begin", "begin a transaction: {message, branch, database, metadata}", (*service).begin},
		{"stemma.end", "end a transaction: {transaction, commit, message, metadata}", (*service).end},
		{"stemma.cancel", "cancel a transaction: {transaction}", (*service).cancelTransaction},
	}
}

// body reads an action's body, which may be empty.
func body(b []byte, to any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	return decode(b, to)
}

type pingResult struct {
	Version   string   `json:"version"`
	Protocol  int      `json:"protocol"`
	Databases []string `json:"databases"`
	Database  *string  `json:"database"`
	Branch    *string  `json:"branch"`
}

func (s *service) ping(ctx context.Context, c *call, b []byte) (any, error) {
	if err := body(b, &struct{}{}); err != nil {
		return nil, err
	}
	out := pingResult{Version: s.opt.Version, Protocol: protocol, Databases: s.opt.Engine.Provider().Names()}
	h, err := c.client(ctx, "", "")
	if err != nil {
		return out, nil // no database is the usual one
	}
	defer h.release()
	if r, err := h.Resolve(ctx, "", ""); err == nil {
		out.Database, out.Branch = &r.Database, &r.Branch
	}
	return out, nil
}

type resolveRequest struct {
	Ref      string `json:"ref"`
	Table    string `json:"table"`
	Database string `json:"database"`
}

type resolveResult struct {
	Database   string   `json:"database"`
	Commit     *string  `json:"commit"`
	Short      *string  `json:"short"`
	Branch     *string  `json:"branch"`
	Table      *string  `json:"table"`
	TableHash  *string  `json:"table_hash"`
	SchemaHash *string  `json:"schema_hash"`
	Rows       *uint64  `json:"rows"`
	PrimaryKey []string `json:"primary_key"`
	Message    *string  `json:"message"`
	Author     *string  `json:"author"`
	Time       *string  `json:"time"`
}

func (s *service) resolve(ctx context.Context, c *call, b []byte) (any, error) {
	var r resolveRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, err
	}
	defer h.release()
	ref := c.ref(r.Ref)
	at, err := h.Resolve(ctx, "", ref)
	if err != nil {
		return nil, s.noRef(err, r.Database, ref)
	}
	out := resolveResult{Database: at.Database}
	if !at.Commit.IsZero() {
		full, short := at.Commit.Full(), at.Commit.String()
		out.Commit, out.Short = &full, &short
		commit, err := history.GetCommit(ctx, at.Repo.Store(), at.Commit)
		if err != nil {
			return nil, err
		}
		author := op.Author{Name: commit.Author.Name, Email: commit.Author.Email}.String()
		when := commit.Committer.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		out.Message, out.Author, out.Time = &commit.Message, &author, &when
	}
	if _, ok := at.Repo.BranchHead(ref); ok {
		out.Branch = &ref
	} else if ref == "" && at.Branch != "" {
		out.Branch = &at.Branch
	}
	if r.Table == "" {
		return out, nil
	}
	f, err := s.findRows(ctx, c, h.Client, r.Database, r.Table, ref)
	if err != nil {
		return nil, err
	}
	if f.view == nil {
		out.Table, out.PrimaryKey = &f.name, []string{}
		return out, nil
	}
	rows := f.view.Count()
	schemaHash := f.view.Schema().Hash.Full()
	out.Table, out.Rows, out.PrimaryKey, out.SchemaHash = &f.name, &rows, frame.KeyNames(f.view.Schema().Schema), &schemaHash
	if f.view.Overlay().Len() == 0 {
		full := f.view.Table.Hash().Full()
		out.TableHash = &full
	}
	return out, nil
}

// noRef is an error about a ref.
func (s *service) noRef(err error, database, ref string) error {
	return &problem{err: err, database: database, ref: ref}
}

// maxPartitions is the most into which a table is cut at once.
const maxPartitions = 100_000

type beginRequest struct {
	Message  string          `json:"message"`
	Branch   string          `json:"branch"`
	Database string          `json:"database"`
	Metadata json.RawMessage `json:"metadata"`
}

func (s *service) begin(ctx context.Context, c *call, b []byte) (any, error) {
	var r beginRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	if r.Branch != "" {
		c = c.with(headerBranch, r.Branch)
	}
	meta, err := c.metadata(r.Metadata)
	if err != nil {
		return nil, err
	}
	t, err := s.beginTransaction(ctx, c, r.Database, r.Message, meta)
	if err != nil {
		return nil, err
	}
	return map[string]string{"transaction": t.id}, nil
}

// with is the call with another header.
func (c *call) with(name, value string) *call {
	n := *c
	n.md = c.md.Copy()
	n.md.Set(headerPrefix+name, value)
	return &n
}

// metadata is the metadata of a commit: a JSON object, with the run that the headers name.
func (c *call) metadata(given json.RawMessage) (string, error) {
	m := map[string]json.RawMessage{}
	if len(given) > 0 && string(given) != "null" {
		if err := json.Unmarshal(given, &m); err != nil {
			return "", invalid("metadata: want a JSON object: %w", err)
		}
	}
	if run := c.header(headerRun); run != "" {
		text, err := json.Marshal(run)
		if err != nil {
			return "", invalid("run: %w", err)
		}
		m["run"] = text
	}
	if len(m) == 0 {
		return "", nil
	}
	out, err := json.Marshal(m)
	if err != nil {
		return "", errs.With(errs.Internal, err)
	}
	return string(out), nil
}

type endRequest struct {
	Transaction string          `json:"transaction"`
	Commit      *bool           `json:"commit"`
	Message     string          `json:"message"`
	Metadata    json.RawMessage `json:"metadata"`
	WriteID     string          `json:"write_id"`
}

type endResult struct {
	Commit  *string `json:"commit"`
	Already bool    `json:"already"`
}

func (s *service) end(ctx context.Context, c *call, b []byte) (any, error) {
	var r endRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	meta, err := c.metadata(r.Metadata)
	if err != nil {
		return nil, err
	}
	out, err := s.endTransaction(ctx, c, &r, meta)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *service) cancelTransaction(_ context.Context, c *call, b []byte) (any, error) {
	var r struct {
		Transaction string `json:"transaction"`
	}
	if err := body(b, &r); err != nil {
		return nil, err
	}
	t, err := s.transactions.find(r.Transaction, c.caller)
	if err != nil {
		return nil, err
	}
	s.transactions.drop(t)
	return struct{}{}, nil
}

// commit makes a version commit, for a run if there is one, of tables of the branch that a session works on, and gives its hash; "" when nothing in them changed.
func (s *service) commit(ctx context.Context, c *call, by lineage.Current, r *repo.Repo, branch string, tables []string, message, meta string) (string, error) {
	ctx = c.forRun(context.WithoutCancel(ctx), by) // the tables are written already
	if len(tables) == 0 {
		return "", nil
	}
	if err := r.Stage(ctx, branch, tables); err != nil && !errs.Is(err, errs.NothingToDo) {
		return "", err
	}
	made, err := r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: message, Meta: meta, Author: c.signature()})
	if errs.Is(err, errs.NothingToDo) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return made.ID.Full(), nil
}

// version is the version commit that a transaction of a call is committed with; keep is called with its hash, which is nil when nothing is to be
// committed.
func (s *service) version(c *call, message, meta string, keep func(tx *repo.Tx, commit *string) error) *engine.Version {
	return &engine.Version{
		Options: repo.CommitOptions{Message: message, Meta: meta, Author: c.signature()},
		Keep: func(tx *repo.Tx, made *history.Commit) error {
			if made == nil {
				return keep(tx, nil)
			}
			full := made.ID.Full()
			return keep(tx, &full)
		},
	}
}

// signature is the author of what a call commits: whom it names, else who it is.
func (c *call) signature() history.Signature {
	if a := c.author(); a.Name != "" {
		return a
	}
	if c.caller.trusted {
		if scope, err := c.s.opt.Scope(""); err == nil && scope.Author.Name != "" {
			return history.Signature{Name: scope.Author.Name, Email: scope.Author.Email}
		}
	}
	return history.Signature{Name: c.caller.user, Email: c.caller.user + "@" + c.caller.from}
}
