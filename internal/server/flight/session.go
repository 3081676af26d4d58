package flight

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/stemmadb/stemma/internal/clock"
)

// sessionCookie is the cookie by which a client names its session.
const sessionCookie = "stemma_flight_session"

// idleSession is how long a session may stand idle before it is forgotten.
const idleSession = 8 * time.Hour

// flightSessions are sessions of Flight: options that hold for all calls with their cookie.
type flightSessions struct {
	mu   sync.Mutex
	list map[string]*flightSession
}

// flightSession is the options of a client.
type flightSession struct {
	id      string
	caller  *caller
	mu      sync.Mutex
	options map[string]string
	used    time.Time
}

// option is an option; "" when it is not set.
func (s *flightSession) option(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options[name]
}

// sessionOf is the session whose cookie a call has; nil without one.
func (s *service) sessionOf(md metadata.MD, c *caller) *flightSession {
	id := cookieOf(md)
	if id == "" || c == nil {
		return nil
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	f := s.sessions.list[id]
	if f == nil || f.caller.user != c.user || f.caller.host != c.host {
		return nil
	}
	f.used = clock.System{}.Now()
	return f
}

func cookieOf(md metadata.MD) string {
	for _, line := range md.Get("cookie") {
		cookies, err := http.ParseCookie(line)
		if err != nil {
			continue
		}
		for _, c := range cookies {
			if c.Name == sessionCookie {
				return c.Value
			}
		}
	}
	return ""
}

// makeSession makes a session and sends its cookie.
func (s *service) makeSession(ctx context.Context, c *caller) (*flightSession, error) {
	f := &flightSession{id: rand.Text(), caller: c, options: map[string]string{}, used: clock.System{}.Now()}
	s.sessions.mu.Lock()
	if s.sessions.list == nil {
		s.sessions.list = map[string]*flightSession{}
	}
	for id, old := range s.sessions.list {
		if clock.Since(old.used) > idleSession {
			delete(s.sessions.list, id)
		}
	}
	s.sessions.list[f.id] = f
	s.sessions.mu.Unlock()
	cookie := http.Cookie{Name: sessionCookie, Value: f.id}
	return f, grpc.SetHeader(ctx, metadata.Pairs("set-cookie", cookie.String()))
}

// SetSessionOptions implements flightsql.Server.
func (q *sqlServer) SetSessionOptions(ctx context.Context, r *flight.SetSessionOptionsRequest) (*flight.SetSessionOptionsResult, error) {
	c := q.s.call(ctx)
	f := c.session
	if f == nil {
		var err error
		if f, err = q.s.makeSession(ctx, c.caller); err != nil {
			return nil, err
		}
	}
	out := &flight.SetSessionOptionsResult{Errors: map[string]*flight.SetSessionOptionsResultError{}}
	fail := func(name string, v pb.SetSessionOptionsResult_ErrorValue) {
		out.Errors[name] = &flight.SetSessionOptionsResultError{Value: v}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, v := range r.GetSessionOptions() {
		key, known := optionName(name)
		if !known {
			fail(name, flight.SetSessionOptionsResultErrorInvalidName)
			continue
		}
		switch x := v.GetOptionValue().(type) {
		case nil:
			delete(f.options, key)
		case *pb.SessionOptionValue_StringValue:
			f.options[key] = x.StringValue
		default:
			fail(name, flight.SetSessionOptionsResultErrorInvalidValue)
		}
	}
	return out, nil
}

// optionName is the name of a header behind its dash; false for one that there is not. Flight's own "catalog" is a database.
func optionName(name string) (string, bool) {
	l := strings.TrimPrefix(strings.ToLower(name), headerPrefix)
	switch l {
	case "catalog", "schema", headerDatabase, headerBranch, headerRef, headerAuthor, headerRun, headerTransaction, headerMode, headerPrimaryKey,
		headerMessage, headerDictionary, headerBooleans:
		return l, true
	}
	return l, false
}

// GetSessionOptions implements flightsql.Server.
func (q *sqlServer) GetSessionOptions(ctx context.Context, _ *flight.GetSessionOptionsRequest) (*flight.GetSessionOptionsResult, error) {
	c := q.s.call(ctx)
	options := map[string]any{}
	if c.session != nil {
		c.session.mu.Lock()
		for k, v := range c.session.options {
			options[k] = v
		}
		c.session.mu.Unlock()
	}
	if _, set := options["catalog"]; !set {
		if name, err := c.database(""); err == nil {
			options["catalog"] = name
		}
	}
	if _, set := options["schema"]; !set {
		options["schema"] = ""
	}
	values, err := flight.NewSessionOptionValues(options)
	if err != nil {
		return nil, err
	}
	return &flight.GetSessionOptionsResult{SessionOptions: values}, nil
}

// CloseSession implements flightsql.Server.
func (q *sqlServer) CloseSession(ctx context.Context, _ *flight.CloseSessionRequest) (*flight.CloseSessionResult, error) {
	c := q.s.call(ctx)
	if c.session != nil {
		q.s.sessions.mu.Lock()
		delete(q.s.sessions.list, c.session.id)
		q.s.sessions.mu.Unlock()
	}
	return &flight.CloseSessionResult{Status: flight.CloseSessionResultClosed}, nil
}
