// Package az is an object store in a container of Azure Blob Storage, through its REST interface: az:// remotes.
package az

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in a container. The generation of an object is its ETag.
type Store struct {
	in     object.Bucket
	base   string // of URLs: the account's
	login  login
	client *http.Client
}

var _ object.Store = (*Store)(nil)

// version is that of the interface: the first in which one put takes a whole pack.
const version = "2019-12-12"

// Open is the store below path in a container of the account that AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING names. Credentials
// are those that Azure's tools find: the connection string, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; else a service principal, a workload
// identity, the machine's identity or the user of the az command. Where there are none requests go out without, which is enough for containers
// that everybody may read. AZURE_STORAGE_SERVICE_ENDPOINT names another server.
func Open(ctx context.Context, container, path string) (*Store, error) {
	a, err := findAccount()
	if err != nil {
		return nil, err
	}
	s := &Store{in: object.InBucket("az", container, path), base: a.endpoint, client: object.Client()}
	if a.other {
		s.in.Server = s.base
	}
	s.login, err = a.login(ctx, s.client)
	return s, err
}

// Server is the base of URLs of the account that the environment names; "" when it names none.
func Server() string {
	a, err := findAccount()
	if err != nil {
		return ""
	}
	return a.endpoint
}

// URL implements object.Store.
func (s *Store) URL() string { return s.in.URL() }

func (s *Store) containerURL() string { return s.base + "/" + url.PathEscape(s.in.Name) }

func (s *Store) objectURL(name string) string {
	parts := strings.Split(s.in.Prefix+name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return s.containerURL() + "/" + strings.Join(parts, "/")
}

// request is one call.
type request struct {
	what        string // as the interface calls it
	method      string
	url         string
	query       url.Values
	name        string // of the object, or the prefix of a list
	header      map[string]string
	end         int64 // behind what a range asks for
	body        object.Body
	conditional bool // the condition of a put may fail
	answers     func(r *http.Response) error
}

// do makes a request and hands its answer on.
func (s *Store) do(ctx context.Context, q request) error {
	at := s.in.At(q.what, q.name)
	u, err := url.Parse(q.url)
	if err != nil {
		return errs.New(errs.Invalid, "%s: %w", at, err)
	}
	u.RawQuery = q.query.Encode()
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return errs.New(errs.Invalid, "%s: %w", at, err)
	}
	if q.body != nil {
		r.Body = http.NoBody
		if r.ContentLength = q.body.Size(); r.ContentLength > 0 {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(object.BodyReader(q.body)), nil }
			r.Body, _ = r.GetBody()
		}
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	r.Header.Set("X-Ms-Version", version)
	if err := s.login.sign(ctx, r); err != nil {
		return s.tokenless(ctx, at, err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return errs.With(errs.Canceled, err)
		}
		return fmt.Errorf("%s: %w", at, object.WireError(ctx, withoutQuery(err)))
	}
	return object.Answered(ctx, at, answer, func(r *http.Response, text []byte) error { return s.failure(q, r, text) }, q.answers)
}

// withoutQuery is an error of a request without the URL's query, in which a signature may be.
func withoutQuery(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
	return err
}

// tokenless is the error when there is no token for a request.
func (s *Store) tokenless(ctx context.Context, at string, err error) error {
	var token *oauth2.RetrieveError
	switch {
	case ctx.Err() != nil:
		return errs.With(errs.Canceled, err)
	case errors.As(err, &token) && token.Response != nil && token.Response.StatusCode < 500, errs.Is(err, errs.Denied):
		return errs.New(errs.Denied, "%s: no token for %s: %w", at, s.login.identity, err)
	}
	return fmt.Errorf("%s: %w", at, object.WireError(ctx, err))
}

// failure is the error that an answer tells.
func (s *Store) failure(q request, answer *http.Response, text []byte) error {
	var told struct {
		Code    string
		Message string
	}
	said, code := strings.TrimSpace(string(text)), answer.Header.Get("X-Ms-Error-Code")
	if xml.Unmarshal(text, &told) == nil && told.Message != "" {
		said, _, _ = strings.Cut(told.Message, "\n") // then come numbers of the request
		if code == "" {
			code = told.Code
		}
	} else if said == "" || len(said) > 300 {
		said = answer.Status
	}
	if code != "" && !strings.Contains(said, code) {
		said = code + " " + said
	}
	class := object.StatusClass(answer.StatusCode)
	if code == "PublicAccessNotPermitted" { // of one without credentials, with status 409
		class = errs.Denied
	}
	switch {
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return object.PastEnd(q.name, answer.Header.Get("Content-Range"), q.end)
	case code == "ContainerNotFound":
		return s.in.ErrNoBucket(q.what, q.name)
	case q.conditional && (code == "BlobAlreadyExists" || class == errs.Conflict || class == errs.NotFound):
		return object.ErrCondition(q.name)
	case class == errs.NotFound && (q.what == listing || q.what == putting):
		return s.in.ErrNoBucket(q.what, q.name)
	case class == errs.NotFound:
		return object.ErrNotFound(q.name)
	case class == errs.Conflict:
		return object.ErrCondition(q.name)
	case class == errs.Denied:
		return errs.New(errs.Denied, "%s was denied to %s: %s", s.in.At(q.what, q.name), s.login.identity, said)
	case code == "Md5Mismatch": // what was sent has arrived damaged
		class = errs.Unavailable
	}
	return errs.New(class, "%s: %s", s.in.At(q.what, q.name), said)
}

// What the interface calls requests.
const (
	getting  = "Get Blob"
	putting  = "Put Blob"
	stating  = "Get Blob Properties"
	deleting = "Delete Blob"
	listing  = "List Blobs"
)

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) (data []byte, g object.Generation, err error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	err = s.do(ctx, request{what: getting, method: http.MethodGet, url: s.objectURL(name), name: name, answers: func(r *http.Response) (err error) {
		if data, err = object.ReadSmall(name, r.Body); err != nil {
			return err
		}
		if g = object.Generation(r.Header.Get("ETag")); g == "" {
			return errs.New(errs.Unsupported, "%s does not tell the ETags of objects", s.URL())
		}
		if want := r.Header.Get("Content-MD5"); want != "" && want != sumText(md5.Sum(data)) {
			return errs.New(errs.Unavailable, "object %s of %s arrived damaged", name, s.URL())
		}
		return nil
	}})
	return data, g, err
}

// sumText is a checksum as the interface writes it.
func sumText(sum [md5.Size]byte) string { return base64.StdEncoding.EncodeToString(sum[:]) }

// GetRange implements object.Store.
func (s *Store) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if len(b) == 0 {
		_, err := s.Stat(ctx, name)
		return err
	}
	return s.do(ctx, request{what: getting, method: http.MethodGet, url: s.objectURL(name), name: name, end: off + int64(len(b)),
		header: map[string]string{"Range": object.Range(off, len(b))},
		answers: func(r *http.Response) error {
			return object.ReadRange(ctx, name, b, off, r.Body, r.Header.Get("Content-Range"))
		}})
}

// Put implements object.Store. The server compares what arrives with its checksum.
func (s *Store) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	sum := md5.New()
	if _, err := io.Copy(sum, object.BodyReader(body)); err != nil {
		return err
	}
	header := map[string]string{
		"X-Ms-Blob-Type": "BlockBlob", "Content-Type": "application/octet-stream", "Content-MD5": sumText([md5.Size]byte(sum.Sum(nil))),
	}
	want, conditional := on.Wants()
	switch {
	case conditional && want == "":
		header["If-None-Match"] = "*"
	case conditional:
		header["If-Match"] = string(want)
	}
	return s.do(ctx, request{what: putting, method: http.MethodPut, url: s.objectURL(name), name: name, header: header, body: body, conditional: conditional,
		answers: drain})
}

// drain reads an answer that says no more than its status.
func drain(r *http.Response) error {
	_, err := io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10))
	return err
}

// Settle implements object.Store: what a container shows is durable.
func (s *Store) Settle(ctx context.Context, name string) error {
	_, err := s.Stat(ctx, name)
	return err
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]object.Info, error) {
	return s.ListSome(ctx, prefix, math.MaxInt)
}

// ListSome implements object.SomeLister.
func (s *Store) ListSome(ctx context.Context, prefix string, most int) ([]object.Info, error) {
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	var out []object.Info
	query := url.Values{"restype": {"container"}, "comp": {"list"}, "prefix": {s.in.Prefix + prefix}, "maxresults": {"1000"}}
	for {
		var page struct {
			Blobs struct {
				Blob []struct {
					Name string
					Size int64 `xml:"Properties>Content-Length"`
				}
			}
			NextMarker string
		}
		err := s.do(ctx, request{what: listing, method: http.MethodGet, url: s.containerURL(), query: query, name: prefix, answers: func(r *http.Response) error {
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			if err := xml.Unmarshal(data, &page); err != nil {
				return errs.New(errs.Unsupported, "%s does not answer as Azure Blob Storage does: %w", r.Request.URL.Host, err)
			}
			return nil
		}})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Blobs.Blob {
			out = append(out, object.Info{Name: strings.TrimPrefix(o.Name, s.in.Prefix), Size: o.Size})
		}
		if page.NextMarker == "" || len(out) >= most {
			break
		}
		query.Set("marker", page.NextMarker)
	}
	object.SortInfos(out)
	return out, nil
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (in object.Info, err error) {
	if err := object.CheckName(name); err != nil {
		return in, err
	}
	err = s.do(ctx, request{what: stating, method: http.MethodHead, url: s.objectURL(name), name: name, answers: func(r *http.Response) error {
		n, err := strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64)
		if err != nil {
			return errs.New(errs.Unsupported, "%s does not tell the lengths of objects", s.URL())
		}
		in = object.Info{Name: name, Size: n}
		return nil
	}})
	return in, err
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.do(ctx, request{what: deleting, method: http.MethodDelete, url: s.objectURL(name), name: name, answers: drain})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// DeleteIf implements object.Store.
func (s *Store) DeleteIf(ctx context.Context, name string, g object.Generation) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.do(ctx, request{what: deleting, method: http.MethodDelete, url: s.objectURL(name), name: name, header: map[string]string{"If-Match": string(g)},
		conditional: true, answers: drain})
	if errs.Is(err, errs.NotFound) {
		return object.ErrCondition(name)
	}
	return err
}
