// Package az is an object store in a container of Azure Blob Storage, through Azure's own client: az:// remotes.
package az

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in a container. The generation of an object is its ETag.
type Store struct {
	in       object.Bucket
	identity string // whose credentials are used, for messages
	client   *container.Client
}

var _ object.Store = (*Store)(nil)

// Open is the store below path in a container of the account that AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING names. Credentials
// are those that Azure's tools find: the connection string, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; else a service principal, a workload
// identity, the machine's identity or the user of the az command. Where there are none requests go out without, which is enough for containers
// that everybody may read. AZURE_STORAGE_SERVICE_ENDPOINT names another server.
func Open(ctx context.Context, name, path string) (*Store, error) {
	a, err := findAccount()
	if err != nil {
		return nil, err
	}
	s := &Store{in: object.InBucket("az", name, path)}
	if a.other {
		s.in.Server = a.endpoint
	}
	s.client, s.identity, err = a.container(ctx, name)
	return s, err
}

// options are those of a client of Azure's: tries are object.Retry's alone, which knows what a put that was repeated means.
func options(client *http.Client) policy.ClientOptions {
	own := *client
	own.Transport = object.Bounded(client.Transport)
	return policy.ClientOptions{Transport: &own, Retry: policy.RetryOptions{MaxRetries: -1}, Telemetry: policy.TelemetryOptions{ApplicationID: "stemma"}}
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

func (s *Store) blob(name string) *blob.Client { return s.client.NewBlobClient(s.in.Prefix + name) }

// request is a call, for messages.
type request struct {
	what        string // as the interface calls it
	name        string // of the object, or the prefix of a list
	end         int64  // behind what a range asks for
	conditional bool   // the condition of a put may fail
}

// failed gives an error of a request its class and says what was asked for, and as whom when that matters.
func (s *Store) failed(ctx context.Context, q request, err error) error {
	err = withoutQuery(err)
	var answer *azcore.ResponseError
	var token *tokenless
	var wire *url.Error
	var never interface{ NonRetriable() }
	switch at := s.in.At(q.what, q.name); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errs.With(errs.Canceled, err)
	case errors.As(err, &answer) && answer.RawResponse != nil:
		return s.failure(q, answer)
	case errors.As(err, &token):
		return fmt.Errorf("%s: %w", at, token)
	case errs.CodeOf(err) != errs.Internal && errors.As(err, &wire): // of reading what was being sent
		return fmt.Errorf("%s: %w", at, err)
	case errs.CodeOf(err) != errs.Internal:
		return err
	case errors.As(err, &never): // the answer asks for credentials of another kind
		return errs.New(errs.Denied, "%s was denied to %s: %w", at, s.identity, err)
	case strings.HasPrefix(err.Error(), "unmarshalling type "):
		return errs.New(errs.Unsupported, "%s: the server does not answer as Azure Blob Storage does: %w", at, err)
	default:
		return fmt.Errorf("%s: %w", at, object.WireError(ctx, err))
	}
}

// withoutQuery is an error of a request without the URL's query, in which a signature may be.
func withoutQuery(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
	return err
}

// failure is the error that an answer tells.
func (s *Store) failure(q request, answer *azcore.ResponseError) error {
	var told struct {
		Code    string
		Message string
	}
	text, _ := runtime.Payload(answer.RawResponse) // the status says enough where it breaks off
	said, code := strings.TrimSpace(string(text)), answer.RawResponse.Header.Get("X-Ms-Error-Code")
	if xml.Unmarshal(text, &told) == nil && told.Message != "" {
		said, _, _ = strings.Cut(told.Message, "\n") // then come numbers of the request
		if code == "" {
			code = told.Code
		}
	} else if said == "" || len(said) > 300 {
		said = answer.RawResponse.Status
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
		return object.PastEnd(q.name, answer.RawResponse.Header.Get("Content-Range"), q.end)
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
		return errs.New(errs.Denied, "%s was denied to %s: %s", s.in.At(q.what, q.name), s.identity, said)
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
	err = s.download(ctx, name, blob.HTTPRange{}, func(r blob.DownloadStreamResponse) (err error) {
		if data, err = object.ReadSmall(name, r.Body); err != nil {
			return err
		}
		if r.ETag == nil || *r.ETag == "" {
			return errs.New(errs.Unsupported, "%s does not tell the ETags of objects", s.URL())
		}
		if sum := md5.Sum(data); r.ContentMD5 != nil && !bytes.Equal(r.ContentMD5, sum[:]) {
			return errs.New(errs.Unavailable, "object %s of %s arrived damaged", name, s.URL())
		}
		g = object.Generation(*r.ETag)
		return nil
	})
	return data, g, err
}

// download asks for bytes of an object, all where the range is empty, and hands them to read.
func (s *Store) download(ctx context.Context, name string, part blob.HTTPRange, read func(r blob.DownloadStreamResponse) error) error {
	r, err := s.blob(name).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: part})
	if err == nil && r.Body == nil { // with status 304, for which nobody has asked
		err = errs.New(errs.Unsupported, "%s does not answer as Azure Blob Storage does", s.URL())
	}
	if err == nil {
		err = errors.Join(read(r), r.Body.Close())
	}
	return s.failed(ctx, request{what: getting, name: name, end: part.Offset + part.Count}, err)
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
	return s.download(ctx, name, blob.HTTPRange{Offset: off, Count: int64(len(b))}, func(r blob.DownloadStreamResponse) error {
		return object.ReadRange(ctx, name, b, off, r.Body, text(r.ContentRange))
	})
}

// text is what an answer tells, "" where it does not.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
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
	only := &blob.ModifiedAccessConditions{}
	want, conditional := on.Wants()
	switch {
	case conditional && want == "":
		only.IfNoneMatch = to.Ptr(azcore.ETagAny)
	case conditional:
		only.IfMatch = to.Ptr(azcore.ETag(want))
	}
	_, err := s.client.NewBlockBlobClient(s.in.Prefix+name).Upload(ctx, streaming.NopCloser(object.BodyReader(body)), &blockblob.UploadOptions{
		TransactionalValidation: blob.TransferValidationTypeMD5(sum.Sum(nil)), AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: only},
	})
	return s.failed(ctx, request{what: putting, name: name, conditional: conditional}, err)
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

// listPage is how many objects are asked for at once.
const listPage = 1000

// ListSome implements object.SomeLister.
func (s *Store) ListSome(ctx context.Context, prefix string, most int) ([]object.Info, error) {
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	var out []object.Info
	pages := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: to.Ptr(s.in.Prefix + prefix), MaxResults: to.Ptr(int32(listPage))})
	for pages.More() && len(out) < most {
		page, err := pages.NextPage(ctx)
		if err == nil && page.Segment == nil {
			err = errs.New(errs.Unsupported, "%s does not answer as Azure Blob Storage does", s.URL())
		}
		if err != nil {
			return nil, s.failed(ctx, request{what: listing, name: prefix}, err)
		}
		for _, o := range page.Segment.BlobItems {
			if o.Name == nil || o.Properties == nil || o.Properties.ContentLength == nil {
				return nil, errs.New(errs.Unsupported, "%s does not tell the names and lengths of objects", s.URL())
			}
			out = append(out, object.Info{Name: strings.TrimPrefix(*o.Name, s.in.Prefix), Size: *o.Properties.ContentLength})
		}
	}
	object.SortInfos(out)
	return out, nil
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := object.CheckName(name); err != nil {
		return object.Info{}, err
	}
	r, err := s.blob(name).GetProperties(ctx, nil)
	if err == nil && r.ContentLength == nil {
		err = errs.New(errs.Unsupported, "%s does not tell the lengths of objects", s.URL())
	}
	if err != nil {
		return object.Info{}, s.failed(ctx, request{what: stating, name: name}, err)
	}
	return object.Info{Name: name, Size: *r.ContentLength}, nil
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	_, err := s.blob(name).Delete(ctx, nil)
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
	only := &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(g))}}
	_, err := s.blob(name).Delete(ctx, &blob.DeleteOptions{AccessConditions: only})
	return s.failed(ctx, request{what: deleting, name: name, conditional: true}, err)
}
