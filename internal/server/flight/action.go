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
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
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

type opSpec struct {
	Name     string    `json:"name"`
	Group    string    `json:"group"`
	Short    string    `json:"short"`
	Long     string    `json:"long"`
	ReadOnly bool      `json:"read_only"`
	Signs    bool      `json:"signs"`
	Needs    string    `json:"needs"`
	Params   []opParam `json:"params"`
}

type opParam struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Default  string   `json:"default"`
	Help     string   `json:"help"`
	Arg      any      `json:"arg"`
	Required bool     `json:"required"`
	Enum     []string `json:"enum"`
	Hidden   bool     `json:"hidden"`
}

func (s *service) ops(_ context.Context, _ *call, b []byte) (any, error) {
	if err := body(b, &struct{}{}); err != nil {
		return nil, err
	}
	return struct {
		Ops []opSpec `json:"ops"`
	}{Specs(s.opt.Specs)}, nil
}

// Specs are the verbs in the form of the action stemma.ops.
func Specs(specs []op.Spec) []opSpec {
	out := []opSpec{}
	for _, spec := range specs {
		if spec.New == nil || spec.Hidden {
			continue
		}
		o := opSpec{Name: spec.Name, Group: spec.Group, Short: spec.Short, Long: spec.Long, ReadOnly: spec.ReadOnly, Signs: spec.Signs, Params: []opParam{}}
		o.Needs = map[op.Need]string{op.NeedNothing: "nothing", op.NeedDatabase: "database", op.NeedServer: "server"}[spec.Needs]
		for _, p := range spec.Params {
			x := opParam{Name: p.Name, Kind: p.Kind.String(), Default: p.Default, Help: p.Help, Required: p.Required, Enum: p.Enum, Hidden: p.Hidden || p.DoltOnly}
			if x.Enum == nil {
				x.Enum = []string{}
			}
			switch {
			case p.Arg > 0:
				x.Arg = p.Arg
			case p.Arg == op.RestArgs:
				x.Arg = "rest"
			case p.Arg == op.AfterDash:
				x.Arg = "dash"
			}
			o.Params = append(o.Params, x)
		}
		out = append(out, o)
	}
	return out
}

type opRequest struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args"`
	Dir  string          `json:"dir"`
}

func (s *service) op(ctx context.Context, c *call, b []byte) (any, error) {
	var r opRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	spec, ok := op.Find(s.opt.Specs, r.Op)
	if !ok || spec.New == nil {
		var names []string
		for _, x := range s.opt.Specs {
			names = append(names, x.Name)
		}
		return nil, &problem{err: errs.New(errs.NotFound, "there is no verb %q", r.Op), near: errs.Nearest(r.Op, names)}
	}
	verb, err := op.BindJSON(spec, r.Args)
	if err != nil {
		return nil, err
	}
	if !c.caller.trusted {
		// Verbs read and write files of the server's machine, and know no privileges.
		h, err := c.client(ctx, "", "")
		if err != nil {
			return nil, err
		}
		defer h.release()
		if err := h.Administrates(ctx); err != nil {
			return nil, err
		}
	}
	name, err := c.database("")
	if err != nil {
		return nil, err
	}
	base, branch := splitDatabase(name)
	scope, err := s.opt.Scope(base)
	if err != nil {
		return nil, err
	}
	scope.Branch = branch
	if a := c.author(); a.Name != "" {
		scope.Author = op.Author{Name: a.Name, Email: a.Email}
	} else if !c.caller.trusted {
		scope.Author = op.Author{Name: c.caller.user, Email: c.caller.user + "@" + c.caller.from}
	}
	if r.Dir != "" {
		scope.Dir = r.Dir
	}
	if !c.caller.trusted {
		scope.Files = s.opt.Files
	}
	out, err := op.Run(c.forRun(ctx, c.run()), verb, scope)
	if err == nil && out != nil {
		err = out.Collect()
	}
	if err != nil {
		return nil, &problem{err: err, database: base}
	}
	if out == nil {
		out = &op.Result{Lines: []string{}}
	}
	return resultJSON(out)
}

// splitDatabase cuts the branch off a database's name.
func splitDatabase(name string) (base, branch string) {
	for i := range len(name) {
		if name[i] == '/' || name[i] == '@' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// resultJSON is the JSON of a verb's result, with the types of its columns by name.
func resultJSON(r *op.Result) (any, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return describeResult(text, r)
}

func describeResult(text []byte, r *op.Result) (map[string]any, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	type column struct {
		Name string `json:"name"`
		Type string `json:"type"`
		UTC  bool   `json:"utc,omitempty"`
	}
	out := map[string]any{"columns": []column{}, "rows": []any{}, "lines": raw["lines"], "hints": r.Hints, "detail": nil, "exit_code": r.ExitCode, "parts": []any{}}
	if r.Hints == nil {
		out["hints"] = []string{}
	}
	if rows, ok := raw["rows"]; ok {
		out["rows"] = rows
	}
	if len(r.Detail) > 0 {
		out["detail"] = r.Detail
	}
	columns := []column{}
	for _, c := range r.Columns {
		columns = append(columns, column{c.Name, c.Type.String(), c.UTC})
	}
	out["columns"] = columns
	if len(r.Parts) > 0 {
		parts := []any{}
		for _, p := range r.Parts {
			x, err := resultJSON(p)
			if err != nil {
				return nil, err
			}
			parts = append(parts, x)
		}
		out["parts"] = parts
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

type partitionsRequest struct {
	Table    string `json:"table"`
	Ref      string `json:"ref"`
	N        int    `json:"n"`
	Database string `json:"database"`
}

type partitionsResult struct {
	Commit     *string         `json:"commit"`
	Rows       uint64          `json:"rows"`
	Partitions []partitionJSON `json:"partitions"`
}

type partitionJSON struct {
	From  uint64         `json:"from"`
	To    uint64         `json:"to"`
	First map[string]any `json:"first"`
	Last  map[string]any `json:"last"`
}

// maxPartitions is the most into which a table is cut at once.
const maxPartitions = 100_000

func (s *service) partitions(ctx context.Context, c *call, b []byte) (any, error) {
	var r partitionsRequest
	if err := body(b, &r); err != nil {
		return nil, err
	}
	if r.N < 1 || r.N > maxPartitions {
		return nil, invalid("n: %d partitions: want 1 to %d", r.N, maxPartitions)
	}
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, err
	}
	defer h.release()
	f, err := s.find(ctx, c, h.Client, r.Database, r.Table, c.ref(r.Ref))
	if err != nil {
		return nil, err
	}
	out := partitionsResult{Rows: f.view.Count(), Partitions: []partitionJSON{}}
	if !f.Commit.IsZero() {
		full := f.Commit.Full()
		out.Commit = &full
	}
	cuts, err := frame.Split(ctx, f.view, r.N)
	if err != nil {
		return nil, f.problem(err)
	}
	for _, x := range cuts {
		p := partitionJSON{From: x.From, To: x.To}
		if p.First, err = keyJSON(ctx, f.view, x.From); err == nil {
			p.Last, err = keyJSON(ctx, f.view, x.To-1)
		}
		if err != nil {
			return nil, f.problem(err)
		}
		out.Partitions = append(out.Partitions, p)
	}
	return out, nil
}

// keyAt is the cells of the key of the row that has n rows ahead of it; nil of tables with edits that are not folded, or without a key.
func keyAt(ctx context.Context, v *table.View, n uint64) ([]value.Cell, error) {
	s := v.Schema()
	if s.Keyless() || v.Overlay().Len() > 0 {
		return nil, nil
	}
	cur := v.Tree(table.RowsTree).Cursor()
	if err := cur.SeekOrdinal(ctx, n); err != nil {
		return nil, err
	}
	if !cur.Valid() {
		return nil, nil
	}
	tuple, err := cur.Row(ctx, nil)
	if err != nil {
		return nil, err
	}
	cells := make([]value.Cell, len(s.Primary.Phys))
	if err := value.DecodeTuple(tuple, s.Primary.Phys, cells); err != nil {
		return nil, err
	}
	key := make([]value.Cell, len(s.PrimaryKey))
	for i, k := range s.PrimaryKey {
		if key[i], err = table.Resolve(ctx, v.Reader(), cells[s.ColumnByID(k.Column)]); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// keyJSON is keyAt by the names of the columns.
func keyJSON(ctx context.Context, v *table.View, n uint64) (map[string]any, error) {
	key, err := keyAt(ctx, v, n)
	if err != nil || key == nil {
		return nil, err
	}
	s := v.Schema()
	out := map[string]any{}
	for i, k := range s.PrimaryKey {
		col := &s.Columns[s.ColumnByID(k.Column)]
		c := key[i]
		switch col.Type.Kind {
		case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32:
			out[col.Name] = c.Int()
		case value.KindUint64:
			out[col.Name] = c.Uint()
		case value.KindBinary, value.KindVarbinary, value.KindBlob:
			out[col.Name] = c.Bytes()
		default:
			out[col.Name] = string(value.AppendText(nil, col.Type, c))
		}
	}
	return out, nil
}

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
