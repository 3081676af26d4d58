package catalog

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/repo"
)

// Point is a point of a table of the session's current database and the name of that database without a revision; nil when the name
// means something else than a table that can be written row by row, which only the general way of a statement tells.
func (p *Provider) Point(ctx *sql.Context, name string) (*sqltable.Point, string, error) {
	s, err := session.Of(ctx)
	if err != nil || s.GetCurrentDatabase() == "" {
		return nil, "", err
	}
	h, err := s.Handle(ctx, "")
	if err != nil || !h.Writable() {
		return nil, "", err
	}
	if tmp, err := h.Temporary(ctx, false); err != nil || tmp != nil {
		return nil, "", err // a temporary table may hide it
	}
	part, err := h.Part(ctx)
	if err != nil {
		return nil, "", err
	}
	if _, _, rules, err := part.Tx().Schema(ctx, repo.NonlocalTable); err != nil || rules {
		return nil, "", err // one of them may be about this name
	}
	schema, written, ok, err := part.Tx().Schema(ctx, name)
	if err != nil || !ok {
		return nil, "", err
	}
	def, err := p.defs.Get(schema, h.Name(), written)
	if err != nil {
		return nil, "", err
	}
	return sqltable.NewPoint(def.For(s), part), h.Base(), nil
}
