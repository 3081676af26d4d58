package flight

import (
	"context"
	"encoding/json"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

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
	switch {
	case r.Dir == "":
	case spec.Needs == op.NeedDatabase: // the caller's directory is where names of files begin, and not the database's
		scope.Base = r.Dir
	default:
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
	return ResultJSON(out)
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

// ResultJSON is the JSON of a verb's result, with the types of its columns by name, as the action stemma.op answers.
func ResultJSON(r *op.Result) (any, error) {
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
			x, err := ResultJSON(p)
			if err != nil {
				return nil, err
			}
			parts = append(parts, x)
		}
		out["parts"] = parts
	}
	return out, nil
}
