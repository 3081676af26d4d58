// Package gs is an object store in a bucket of Google Cloud Storage, through Google's client of its JSON interface: gs:// remotes.
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
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in a bucket. The generation of an object is what Google calls so.
type Store struct {
	in       object.Bucket
	identity string // whose credentials are used, for messages
	objects  *storage.ObjectsService
}

var _ object.Store = (*Store)(nil)

// The server, unless the environment names an emulator, and what is asked of it.
const (
	server          = "https://storage.googleapis.com"
	emulatorSetting = "STORAGE_EMULATOR_HOST"
	scope           = storage.DevstorageReadWriteScope
)

// Open is the store below path in a bucket. Credentials are Google's application default ones: the file that GOOGLE_APPLICATION_CREDENTIALS
// names, those of gcloud, or the machine's. Where there are none requests go out without, which is enough for buckets that everybody may
// read. STORAGE_EMULATOR_HOST names another server, which gets none.
func Open(ctx context.Context, bucket, path string) (*Store, error) {
	s := &Store{in: object.InBucket("gs", bucket, path)}
	base, client := server, object.Client()
	if host := Server(); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		base, s.identity = strings.TrimRight(host, "/"), "nobody (an emulator gets no credentials)"
		s.in.Server = base
	} else {
		source, identity, err := credentials(ctx, client)
		if err != nil {
			return nil, err
		}
		s.identity = identity
		if source != nil {
			client.Transport = &oauth2.Transport{Source: source, Base: client.Transport}
		}
	}
	client.Transport = object.Bounded(client.Transport)
	service, err := storage.NewService(ctx, option.WithHTTPClient(client), option.WithEndpoint(base+"/storage/v1/"), option.WithUserAgent("stemma"))
	if err != nil {
		return nil, errs.New(errs.Invalid, "gs: %w", err)
	}
	s.objects = service.Objects
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

func (s *Store) key(name string) string { return s.in.Prefix + name }

// request is a call, for messages.
type request struct {
	what string // as the interface calls it
	name string // of the object, or the prefix of a list
	end  int64  // behind what a range asks for
}

// What the interface calls requests.
const (
	getting   = "objects.get"
	listing   = "objects.list"
	insertion = "objects.insert"
	deleting  = "objects.delete"
)

// failed gives an error of a request its class and says what was asked for, and as whom when that matters.
func (s *Store) failed(ctx context.Context, q request, err error) error {
	var answer *googleapi.Error
	var token *oauth2.RetrieveError
	var syntax *json.SyntaxError
	switch at := s.in.At(q.what, q.name); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errs.With(errs.Canceled, err)
	case errors.As(err, &answer):
		return s.failure(q, answer)
	case errors.As(err, &token) && token.Response != nil && token.Response.StatusCode < 500:
		return errs.New(errs.Denied, "%s: no token for %s: %w", at, s.identity, err)
	case errs.CodeOf(err) != errs.Internal:
		return err
	case errors.As(err, &syntax), strings.HasPrefix(err.Error(), "json: "):
		return errs.New(errs.Unsupported, "%s: the server does not answer as Google Cloud Storage does: %w", at, err)
	default:
		return fmt.Errorf("%s: %w", at, object.WireError(ctx, err))
	}
}

// failure is the error that an answer tells.
func (s *Store) failure(q request, answer *googleapi.Error) error {
	var told struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	said := strings.TrimSpace(answer.Body)
	if json.Unmarshal([]byte(answer.Body), &told) == nil && told.Error.Message != "" { // the client reads it of some calls only
		said = told.Error.Message
	} else if said == "" || len(said) > 300 {
		said = fmt.Sprintf("%d %s", answer.Code, http.StatusText(answer.Code))
	}
	switch class := object.StatusClass(answer.Code); {
	case answer.Code == http.StatusRequestedRangeNotSatisfiable:
		return object.PastEnd(q.name, answer.Header.Get("Content-Range"), q.end)
	case class == errs.NotFound && (strings.Contains(said, "bucket does not exist") || q.what == listing || q.what == insertion):
		return s.in.ErrNoBucket(q.what, q.name) // a put of an object that is not there fails its condition instead
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

// download makes the request for an object's bytes and hands its answer to read.
func (s *Store) download(ctx context.Context, q request, call *storage.ObjectsGetCall, read func(r *http.Response) error) error {
	r, err := call.Context(ctx).Download()
	if err == nil {
		err = errors.Join(read(r), r.Body.Close())
	}
	return s.failed(ctx, q, err)
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) (data []byte, g object.Generation, err error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	err = s.download(ctx, request{what: getting, name: name}, s.objects.Get(s.in.Name, s.key(name)), func(r *http.Response) (err error) {
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
	})
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
	call := s.objects.Get(s.in.Name, s.key(name))
	call.Header().Set("Range", object.Range(off, len(b)))
	return s.download(ctx, request{what: getting, name: name, end: off + int64(len(b))}, call, func(r *http.Response) error {
		return object.ReadRange(ctx, name, b, off, r.Body, r.Header.Get("Content-Range"))
	})
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
	call := s.objects.Insert(s.in.Name, &storage.Object{Name: s.key(name), Crc32c: sumText(sum.Sum32())}).Fields("generation")
	if want, conditional := on.Wants(); conditional {
		n, err := number(want)
		if err != nil && want != "" {
			return object.ErrCondition(name) // no generation of an object here
		}
		call.IfGenerationMatch(n)
	}
	// In one request, which the client does not repeat.
	_, err := call.Context(ctx).Media(object.BodyReader(body), googleapi.ChunkSize(0), googleapi.ContentType("application/octet-stream")).Do()
	return s.failed(ctx, request{what: insertion, name: name}, err)
}

// number is a generation as the interface has it.
func number(g object.Generation) (int64, error) { return strconv.ParseInt(string(g), 10, 64) }

// Settle implements object.Store: what a bucket shows is durable.
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
	call := s.objects.List(s.in.Name).Prefix(s.key(prefix)).Fields("items(name,size)", "nextPageToken").MaxResults(listPage).Context(ctx)
	for {
		page, err := call.Do()
		if err != nil {
			return nil, s.failed(ctx, request{what: listing, name: prefix}, err)
		}
		for _, o := range page.Items {
			out = append(out, object.Info{Name: strings.TrimPrefix(o.Name, s.in.Prefix), Size: int64(o.Size)})
		}
		if page.NextPageToken == "" || len(out) >= most {
			break
		}
		call.PageToken(page.NextPageToken)
	}
	object.SortInfos(out)
	return out, nil
}

// listPage is how many objects are asked for at once.
const listPage = 1000

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := object.CheckName(name); err != nil {
		return object.Info{}, err
	}
	o, err := s.objects.Get(s.in.Name, s.key(name)).Fields("name", "size").Context(ctx).Do()
	if err != nil {
		return object.Info{}, s.failed(ctx, request{what: getting, name: name}, err)
	}
	return object.Info{Name: name, Size: int64(o.Size)}, nil
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.objects.Delete(s.in.Name, s.key(name)).Context(ctx).Do()
	err = s.failed(ctx, request{what: deleting, name: name}, err)
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
	n, err := number(g)
	if err != nil {
		return object.ErrCondition(name) // no generation of an object here
	}
	err = s.objects.Delete(s.in.Name, s.key(name)).IfGenerationMatch(n).Context(ctx).Do()
	err = s.failed(ctx, request{what: deleting, name: name}, err)
	if errs.Is(err, errs.NotFound) {
		return object.ErrCondition(name)
	}
	return err
}
