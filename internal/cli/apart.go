package cli

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/server/flight"
)

// apartVerb carries out a verb for a library, in whose words it is asked and answers: parameters are JSON, and so is the answer, as it is over
// Arrow Flight. It is for verbs that no process can be asked for that has a database open: there is none, or it must be closed.
type apartVerb struct {
	Verb   string `arg:"1" required:"true" value:"verb" help:"the verb"`
	Params string `arg:"2" required:"true" value:"json" help:"its parameters"`

	program *Program
}

func (p *Program) apartSpec() op.Spec {
	return specOf(op.Spec{
		Name: "perform", Group: op.GroupServe, Hidden: true, Short: "Carry out a verb for a library",
		Long: "Parameters and answer are JSON, as they are over Arrow Flight.",
	}, func() op.Op { return &apartVerb{program: p} })
}

// Run carries it out.
func (v *apartVerb) Run(ctx context.Context, scope *op.Scope) (_ *op.Result, err error) {
	p := v.program
	spec, ok := op.Find(p.Specs, v.Verb)
	if !ok || spec.New == nil {
		return nil, errs.New(errs.NotFound, "there is no verb '%s'", v.Verb)
	}
	verb, err := op.BindJSON(spec, json.RawMessage(v.Params))
	if err != nil {
		return nil, err
	}
	mine := *scope
	mine.Base, mine.Terminal = p.Dir, false
	if spec.Needs == op.NeedDatabase && mine.Settings.Local == "" && !anywhere(verb) {
		return nil, p.noDatabase()
	}
	r, closeFn, err := p.perform(ctx, spec, verb, &mine)
	defer func() { err = errors.Join(err, closeFn()) }()
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &op.Result{Lines: []string{}}
	}
	if err := r.Collect(); err != nil {
		return nil, err
	}
	wire, err := flight.ResultJSON(r)
	if err != nil {
		return nil, err
	}
	return nil, json.NewEncoder(p.Out).Encode(wire)
}

// closedPatience is how long a verb that wants a database to be closed waits for that: a private owner ends some time after its last client.
const closedPatience = idleOwner + 2*time.Second

// performClosed runs a verb on a database that no process may have open.
func (p *Program) performClosed(ctx context.Context, verb op.Op, scope *op.Scope) (*op.Result, error) {
	patience, cancel := context.WithTimeout(ctx, closedPatience)
	defer cancel()
	for pause := ownerPause; ; pause = min(2*pause, ownerPauseMax) {
		r, err := op.Run(ctx, verb, scope)
		if !errs.Is(err, errs.Locked) {
			return r, err
		}
		select {
		case <-time.After(pause):
		case <-patience.Done():
			if ctx.Err() != nil {
				return nil, errs.With(errs.Canceled, ctx.Err())
			}
			return nil, err
		}
	}
}
