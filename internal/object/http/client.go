package http

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Login is a user of the server.
type Login struct{ User, Password string }

// Store is an object.Store at a server.
type Store struct {
	base   string
	login  Login
	client *nethttp.Client
	puts   *nethttp.Client // waits for the answer as long as its caller: the put of a ref is a push, which the server takes in first
}

var _ object.Store = (*Store)(nil)

// Open is the store at a URL, http or https. It asks for nothing yet.
func Open(base string, login Login) *Store {
	puts := object.Client()
	if t, ok := puts.Transport.(*nethttp.Transport); ok {
		t.ResponseHeaderTimeout = 0
	}
	return &Store{base: strings.TrimRight(base, "/"), login: login, client: object.Client(), puts: puts}
}

// URL implements object.Store.
func (s *Store) URL() string { return s.base }

func (s *Store) objectURL(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return s.base + objectsPath + "/" + strings.Join(parts, "/")
}

// request is one call.
type request struct {
	method string
	url    string
	name   string // of the object, for messages
	header nethttp.Header
	body   object.Body // nil for none
	end    int64       // behind the range that is asked for
	answer func(r *nethttp.Response) error
}

// expectAbove is the length of bodies that are sent only when the server has said that it wants them.
const expectAbove = 1 << 20

// do makes a request and hands its answer on.
func (s *Store) do(ctx context.Context, q request) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	var body io.Reader
	if q.body != nil {
		body = object.BodyReader(q.body)
	}
	r, err := nethttp.NewRequestWithContext(ctx, q.method, q.url, body)
	if err != nil {
		return errs.New(errs.Invalid, "%s: %w", s.at(q), err)
	}
	for k, v := range q.header {
		r.Header[k] = v
	}
	if s.login != (Login{}) {
		r.SetBasicAuth(s.login.User, s.login.Password)
	}
	if q.body != nil {
		if r.ContentLength = q.body.Size(); r.ContentLength == 0 {
			r.Body = nethttp.NoBody
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		if r.ContentLength > expectAbove {
			r.Header.Set("Expect", "100-continue")
		}
	}
	client := s.client
	if q.method == nethttp.MethodPut {
		client = s.puts
	}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", s.at(q), object.WireError(ctx, err))
	}
	return object.Answered(ctx, s.at(q), answer, func(r *nethttp.Response, text []byte) error { return s.failure(q, r, text) }, q.answer)
}

// failure is the error that an answer tells.
func (s *Store) failure(q request, answer *nethttp.Response, text []byte) error {
	if answer.StatusCode == nethttp.StatusRequestedRangeNotSatisfiable {
		return object.PastEnd(q.name, answer.Header.Get("Content-Range"), q.end)
	}
	if q.method == nethttp.MethodHead {
		text = []byte(answer.Header.Get(errorHeader))
	}
	var told failure
	if json.Unmarshal(text, &told) == nil && told.Class != "" {
		class, ok := errs.ParseCode(told.Class)
		if !ok {
			class = object.StatusClass(answer.StatusCode)
		}
		switch {
		case class == errs.NotFound && q.name != "" && told.Message == object.ErrNotFound(q.name).Error():
			return object.ErrNotFound(q.name)
		case class == errs.NotFound: // of the database, not of the object
			return object.ErrNoPlace("%s: %s", s.at(q), told.Message)
		case class == errs.Conflict && q.method == nethttp.MethodPut:
			return object.ErrCondition(q.name)
		case class == errs.Corrupt && q.method == nethttp.MethodGet:
			return errs.New(class, "%s", told.Message)
		case class == errs.Canceled: // there, not here
			class = errs.Unavailable
		case class == errs.Denied && answer.StatusCode == nethttp.StatusUnauthorized && s.login.User == "":
			return errs.New(class, "%s: %s; name a user with STEMMA_REMOTE_USER and STEMMA_REMOTE_PASSWORD, or in ~/.netrc", s.at(q), told.Message)
		}
		return errs.New(class, "%s: %s", s.at(q), told.Message)
	}
	switch {
	case answer.StatusCode == nethttp.StatusBadRequest && strings.Contains(string(text), "HTTP request to an HTTPS server"):
		return errs.New(errs.Invalid, "%s: what answers there speaks HTTPS and not HTTP: write https:// instead of http://", s.at(q))
	case answer.StatusCode/100 == 3:
		return errs.New(errs.Invalid, "%s: the server is at another place: %s; name that", s.at(q), answer.Header.Get("Location"))
	case answer.StatusCode == nethttp.StatusNotFound:
		return errs.New(errs.Invalid, "%s: what answers there is no server of stemma (HTTP status 404): name http://host:port/database, with the port that 'serve --remote-port' listens on", s.at(q))
	}
	return errs.New(object.StatusClass(answer.StatusCode), "%s: HTTP status %s", s.at(q), answer.Status)
}

// at is a request, for messages.
func (s *Store) at(q request) string {
	if q.name == "" {
		return fmt.Sprintf("%s of %s", q.method, s.base)
	}
	return fmt.Sprintf("%s of %s in %s", q.method, q.name, s.base)
}

// listMost is what is read of a list, in bytes.
const listMost = 512 << 20

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) (data []byte, g object.Generation, err error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	err = s.do(ctx, request{method: nethttp.MethodGet, url: s.objectURL(name), name: name, answer: func(r *nethttp.Response) (err error) {
		if data, err = object.ReadSmall(name, r.Body); err != nil {
			return err
		}
		if !agrees(r.Header.Get(digestHeader), sha256.Sum256(data)) {
			return errs.New(errs.Unavailable, "object %s of %s arrived damaged", name, s.base)
		}
		tag := r.Header.Get("ETag")
		if len(tag) < 3 || tag[0] != '"' {
			return errs.New(errs.Invalid, "what answers at %s is no server of stemma: it does not tell the generation of object %s", s.base, name)
		}
		g = object.Generation(strings.Trim(tag, `"`))
		return nil
	}})
	return data, g, err
}

// GetRange implements object.Store.
func (s *Store) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if len(b) == 0 {
		_, err := s.Stat(ctx, name)
		return err
	}
	return s.do(ctx, request{
		method: nethttp.MethodGet, url: s.objectURL(name), name: name, end: off + int64(len(b)),
		header: nethttp.Header{"Range": {object.Range(off, len(b))}},
		answer: func(r *nethttp.Response) error {
			return object.ReadRange(ctx, name, b, off, r.Body, r.Header.Get("Content-Range"))
		},
	})
}

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, object.BodyReader(body)); err != nil {
		return err
	}
	header := nethttp.Header{digestHeader: {digestOf([sha256.Size]byte(sum.Sum(nil)))}}
	want, conditional := on.Wants()
	switch {
	case conditional && want == "":
		header.Set("If-None-Match", "*")
	case conditional:
		header.Set("If-Match", `"`+string(want)+`"`)
	}
	return s.do(ctx, request{method: nethttp.MethodPut, url: s.objectURL(name), name: name, header: header, body: body, answer: nothing})
}

func nothing(*nethttp.Response) error { return nil }

// Settle implements object.Store: the server shows only what is durable.
func (s *Store) Settle(ctx context.Context, name string) error {
	_, err := s.Stat(ctx, name)
	return err
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	var out []object.Info
	err := s.do(ctx, request{method: nethttp.MethodGet, url: s.base + objectsPath + "?" + url.Values{"prefix": {prefix}}.Encode(), answer: func(r *nethttp.Response) error {
		var l listing
		data, err := io.ReadAll(io.LimitReader(r.Body, listMost+1))
		if err != nil {
			return err
		}
		if len(data) > listMost {
			return errs.New(errs.Invalid, "what answers at %s is no server of stemma: its list of objects has more than %d bytes", s.base, listMost)
		}
		if err := json.Unmarshal(data, &l); err != nil {
			return errs.New(errs.Invalid, "what answers at %s is no server of stemma", s.base)
		}
		for _, o := range l.Objects {
			out = append(out, object.Info{Name: o.Name, Size: o.Size})
		}
		return nil
	}})
	object.SortInfos(out)
	return out, err
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (in object.Info, err error) {
	if err := object.CheckName(name); err != nil {
		return in, err
	}
	err = s.do(ctx, request{method: nethttp.MethodHead, url: s.objectURL(name), name: name, answer: func(r *nethttp.Response) error {
		if r.ContentLength < 0 {
			return errs.New(errs.Invalid, "what answers at %s is no server of stemma: it does not tell the length of object %s", s.base, name)
		}
		in = object.Info{Name: name, Size: r.ContentLength}
		return nil
	}})
	return in, err
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.do(ctx, request{method: nethttp.MethodDelete, url: s.objectURL(name), name: name, answer: nothing})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// DeleteIf implements object.Store: a server collects the garbage of its databases itself.
func (s *Store) DeleteIf(_ context.Context, name string, _ object.Generation) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	return errs.New(errs.Unsupported, "%s removes no objects on a condition", s.URL())
}
