package session

import "github.com/dolthub/go-mysql-server/sql"

// asked is a name that a statement is about to ask for as of a ref or a time.
type asked struct {
	ctx  *sql.Context // of the statement
	name string
	asOf any
}

// AskAsOf takes note that the statement of ctx is about to ask what a name means as of a ref or a time; "" is all names. The engine asks
// databases for tables with that, but for views without.
func (s *Session) AskAsOf(ctx *sql.Context, name string, asOf any) { s.asking = asked{ctx, name, asOf} }

// AskedAsOf is what AskAsOf was told last, if that was about this statement and name; nil otherwise. It is told once.
func (s *Session) AskedAsOf(ctx *sql.Context, name string) any {
	a := s.asking
	s.asking = asked{}
	if a.ctx != ctx || a.name != name {
		return nil
	}
	return a.asOf
}

// OpensView counts the views that the session's statements have opened, this one included.
func (s *Session) OpensView() int {
	s.views++
	return s.views
}
