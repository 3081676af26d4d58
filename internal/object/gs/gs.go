// Package gs is an object store in a bucket of Google Cloud Storage, through its JSON interface: gs:// remotes.
package gs

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in a bucket. The generation of an object is what Google calls so.
type Store struct {
	in       object.Bucket
	base     string // of URLs
	identity string // whose credentials are used, for messages
	client   *http.Client
}

var _ object.Store = (*Store)(nil)

// The server, unless the environment names an emulator, and what is asked of it.
const (
	server          = "https://storage.googleapis.com"
	emulatorSetting = "STORAGE_EMULATOR_HOST"
	scope           = "https://www.googleapis.com/auth/devstorage.read_write"
)

// Open is the store below path in a bucket. Credentials are Google's application default ones: the file that GOOGLE_APPLICATION_CREDENTIALS
// names, those of gcloud, or the machine's. Where there are none requests go out without, which is enough for buckets that everybody may
// read. STORAGE_EMULATOR_HOST names another server, which gets none.
func Open(ctx context.Context, bucket, path string) (*Store, error) {
	s := &Store{in: object.InBucket("gs", bucket, path), base: server, client: object.Client()}
	if host := os.Getenv(emulatorSetting); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		s.base, s.identity = strings.TrimRight(host, "/"), "nobody (an emulator gets no credentials)"
		s.in.Server = s.base
		return s, nil
	}
	source, identity, err := credentials(ctx, s.client)
	if err != nil {
		return nil, err
	}
	s.identity = identity
	if source != nil {
		s.client.Transport = &oauth2.Transport{Source: source, Base: s.client.Transport}
	}
	return s, nil
}

// credentials are the application default ones; source is nil when there are none.
func credentials(ctx context.Context, client *http.Client) (source oauth2.TokenSource, identity string, err error) {
	const none = "nobody (no credentials were found: set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login')"
	if file := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, "", errs.New(errs.Denied, "GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: %w", err)
		}
	}
	own := *client // tokens are fetched without a token
	c, err := google.FindDefaultCredentials(context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &own), scope)
	if err != nil {
		if strings.Contains(err.Error(), "could not find default credentials") {
			return nil, none, nil
		}
		return nil, "", errs.New(errs.Denied, "read the credentials for gs: %w", err)
	}
	var about struct {
		Type        string `json:"type"`
		ClientEmail string `json:"client_email"`
		ClientID    string `json:"client_id"`
	}
	if len(c.JSON) == 0 {
		return c.TokenSource, "the service account of this machine", nil
	}
	if err := json.Unmarshal(c.JSON, &about); err != nil {
		return nil, "", errs.New(errs.Denied, "read the credentials for gs: %w", err)
	}
	switch {
	case about.ClientEmail != "":
		identity = about.ClientEmail
	case about.Type == "authorized_user":
		identity = "the user of gcloud's application default credentials"
	default:
		identity = "the " + strings.ReplaceAll(about.Type, "_", " ") + " of the application default credentials"
	}
	return c.TokenSource, identity, nil
}

// Server is the server that the environment names; "" for Google's.
func Server() string { return os.Getenv(emulatorSetting) }

// URL implements object.Store.
func (s *Store) URL() string { return s.in.URL() }

func (s *Store) bucketURL(root string) string {
	return s.base + root + "/b/" + url.PathEscape(s.in.Name) + "/o"
}

func (s *Store) objectURL(name string) string {
	return s.bucketURL("/storage/v1") + "/" + url.PathEscape(s.in.Prefix+name)
}

// request is one call.
type request struct {
	what    string // as the interface calls it
	method  string
	url     string
	query   url.Values
	name    string // of the object, or the prefix of a list
	rng     string // the header Range
	end     int64  // behind what that asks for
	body    func() io.Reader
	size    int64
	kind    string // the body's media type
	answers func(r *http.Response) error
}

// do makes a request and hands its answer on.
func (s *Store) do(ctx context.Context, q request) error {
	at, u := s.in.At(q.what, q.name), q.url
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	var body io.Reader
	if q.body != nil {
		body = q.body()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u, body)
	if err != nil {
		return errs.New(errs.Invalid, "%s: %w", at, err)
	}
	if q.body != nil {
		r.ContentLength = q.size
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(q.body()), nil }
		r.Header.Set("Content-Type", q.kind)
	}
	if q.rng != "" {
		r.Header.Set("Range", q.rng)
	}
	answer, err := s.client.Do(r)
	var token *oauth2.RetrieveError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return errs.With(errs.Canceled, err)
	case errors.As(err, &token) && token.Response != nil && token.Response.StatusCode < 500:
		return errs.New(errs.Denied, "%s: no token for %s: %w", at, s.identity, err)
	default:
		return fmt.Errorf("%s: %w", at, object.WireError(ctx, err))
	}
	return object.Answered(ctx, at, answer, func(r *http.Response, text []byte) error { return s.failure(q, r, text) }, q.answers)
}

// failure is the error that an answer tells.
func (s *Store) failure(q request, answer *http.Response, text []byte) error {
	var told struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	said := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &told) == nil && told.Error.Message != "" {
		said = told.Error.Message
	} else if said == "" || len(said) > 300 {
		said = answer.Status
	}
	switch class := object.StatusClass(answer.StatusCode); {
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return object.PastEnd(q.name, answer.Header.Get("Content-Range"), q.end)
	case class == errs.NotFound && (strings.Contains(said, "bucket does not exist") || q.what == listing):
		return s.in.ErrNoBucket(q.what, q.name)
	case class == errs.NotFound:
		return object.ErrNotFound(q.name)
	case class == errs.Conflict:
		return object.ErrCondition(q.name)
	case class == errs.Denied:
		return errs.New(errs.Denied, "%s was denied to %s: %s", s.in.At(q.what, q.name), s.identity, said)
	default:
		return errs.New(class, "%s: %s", s.in.At(q.what, q.name), said)
	}
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) (data []byte, g object.Generation, err error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	err = s.do(ctx, request{what: "objects.get", method: http.MethodGet, url: s.objectURL(name), query: url.Values{"alt": {"media"}}, name: name,
		answers: func(r *http.Response) (err error) {
			if data, err = object.ReadSmall(name, r.Body); err != nil {
				return err
			}
			if g = object.Generation(r.Header.Get("X-Goog-Generation")); g == "" {
				return errs.New(errs.Unsupported, "%s does not tell the generations of objects", s.URL())
			}
			for _, h := range r.Header.Values("X-Goog-Hash") {
				for part := range strings.SplitSeq(h, ",") {
					if want, ok := strings.CutPrefix(strings.TrimSpace(part), "crc32c="); ok && want != sumText(crc32.Checksum(data, castagnoli())) {
						return errs.New(errs.Unavailable, "object %s of %s arrived damaged", name, s.URL())
					}
				}
			}
			return nil
		}})
	return data, g, err
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// sumText is a checksum as the interface writes it.
func sumText(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
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
	return s.do(ctx, request{what: "objects.get", method: http.MethodGet, url: s.objectURL(name), query: url.Values{"alt": {"media"}}, name: name,
		rng: object.Range(off, len(b)), end: off + int64(len(b)),
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
	sum := crc32.New(castagnoli())
	if _, err := io.Copy(sum, object.BodyReader(body)); err != nil {
		return err
	}
	about, err := json.Marshal(map[string]string{"name": s.in.Prefix + name, "crc32c": sumText(sum.Sum32())})
	if err != nil {
		return err
	}
	const boundary = "stemma-6f0c1f0e8d7b4f7f9b1d"
	head := "--" + boundary + "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" + string(about) +
		"\r\n--" + boundary + "\r\nContent-Type: application/octet-stream\r\n\r\n"
	const tail = "\r\n--" + boundary + "--\r\n"
	query := url.Values{"uploadType": {"multipart"}, "fields": {"generation"}}
	want, conditional := on.Wants()
	switch {
	case conditional && want == "":
		query.Set("ifGenerationMatch", "0")
	case conditional:
		if _, err := strconv.ParseInt(string(want), 10, 64); err != nil {
			return object.ErrCondition(name) // no generation of an object here
		}
		query.Set("ifGenerationMatch", string(want))
	}
	err = s.do(ctx, request{what: insertion, method: http.MethodPost, url: s.bucketURL("/upload/storage/v1"), query: query, name: name,
		body: func() io.Reader {
			return io.MultiReader(strings.NewReader(head), object.BodyReader(body), strings.NewReader(tail))
		},
		size: int64(len(head)) + body.Size() + int64(len(tail)),
		kind: mime.FormatMediaType("multipart/related", map[string]string{"boundary": boundary}),
		answers: func(r *http.Response) error {
			_, err := io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10))
			return err
		}})
	if errs.Is(err, errs.NotFound) { // an object that is not there fails its condition instead
		err = s.in.ErrNoBucket(insertion, name)
	}
	return err
}

// Settle implements object.Store: what a bucket shows is durable.
func (s *Store) Settle(ctx context.Context, name string) error {
	_, err := s.Stat(ctx, name)
	return err
}

// What the interface calls some requests.
const (
	listing   = "objects.list"
	insertion = "objects.insert"
)

// about is what is asked of an object.
type about struct {
	Name string `json:"name"`
	Size int64  `json:"size,string"`
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
	query := url.Values{"prefix": {s.in.Prefix + prefix}, "fields": {"items(name,size),nextPageToken"}, "maxResults": {"1000"}}
	for {
		var page struct {
			Items []about `json:"items"`
			Next  string  `json:"nextPageToken"`
		}
		err := s.do(ctx, request{what: listing, method: http.MethodGet, url: s.bucketURL("/storage/v1"), query: query, name: prefix, answers: decode(&page)})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			out = append(out, object.Info{Name: strings.TrimPrefix(o.Name, s.in.Prefix), Size: o.Size})
		}
		if page.Next == "" || len(out) >= most {
			break
		}
		query.Set("pageToken", page.Next)
	}
	object.SortInfos(out)
	return out, nil
}

// decode reads an answer of JSON into v.
func decode(v any) func(*http.Response) error {
	return func(r *http.Response) error {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, v); err != nil {
			return errs.New(errs.Unsupported, "%s does not answer as Google Cloud Storage does: %w", r.Request.URL.Host, err)
		}
		return nil
	}
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := object.CheckName(name); err != nil {
		return object.Info{}, err
	}
	var o about
	err := s.do(ctx, request{what: "objects.get", method: http.MethodGet, url: s.objectURL(name), query: url.Values{"fields": {"name,size"}}, name: name, answers: decode(&o)})
	return object.Info{Name: name, Size: o.Size}, err
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.do(ctx, request{what: "objects.delete", method: http.MethodDelete, url: s.objectURL(name), name: name, answers: func(*http.Response) error { return nil }})
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
	if _, err := strconv.ParseInt(string(g), 10, 64); err != nil {
		return object.ErrCondition(name) // no generation of an object here
	}
	err := s.do(ctx, request{what: "objects.delete", method: http.MethodDelete, url: s.objectURL(name), query: url.Values{"ifGenerationMatch": {string(g)}},
		name: name, answers: func(*http.Response) error { return nil }})
	if errs.Is(err, errs.NotFound) {
		return object.ErrCondition(name)
	}
	return err
}
