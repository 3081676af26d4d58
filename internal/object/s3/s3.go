// Package s3 is an object store in a bucket of Amazon S3, or of another server that speaks its protocol and keeps the conditions If-Match and
// If-None-Match of puts: s3:// remotes.
package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Store is an object.Store in a bucket. The generation of an object is its ETag.
type Store struct {
	in       object.Bucket
	identity string // whose credentials are used, for messages
	cfg      aws.Config

	mu     sync.Mutex
	client *s3.Client
	region string
}

var _ object.Store = (*Store)(nil)

// defaultRegion is where a bucket is looked for first when no region is configured. Amazon answers with the right one.
const defaultRegion = "us-east-1"

// anonymousSetting lets requests go out unsigned, for buckets that everybody may read.
const anonymousSetting = "AWS_NO_SIGN_REQUEST"

// Open is the store below path in a bucket. Server, region and credentials are found as Amazon's own tools find them: environment, shared
// files, the machine's role. Other servers are named by AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, and are sent the bucket in the path. Without
// credentials the error is of class Denied.
func Open(ctx context.Context, bucket, path string) (*Store, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(object.Tune)), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
	if err != nil {
		return nil, errs.New(errs.Invalid, "read the settings for s3: %w", err)
	}
	s := &Store{in: object.InBucket("s3", bucket, path), cfg: cfg, region: cfg.Region}
	if s.region == "" {
		s.region = defaultRegion
	}
	if err := s.identify(ctx); err != nil {
		return nil, err
	}
	s.client = s.connect(s.region)
	if u := s.client.Options().BaseEndpoint; u != nil {
		s.in.Server = *u
	}
	return s, nil
}

// identify finds the credentials.
func (s *Store) identify(ctx context.Context) error {
	if v := strings.ToLower(os.Getenv(anonymousSetting)); v == "yes" || v == "true" || v == "1" {
		s.cfg.Credentials, s.identity = aws.AnonymousCredentials{}, "nobody (requests are not signed)"
		return nil
	}
	if s.cfg.Credentials == nil {
		return errNoCredentials(nil)
	}
	c, err := s.cfg.Credentials.Retrieve(ctx)
	if err != nil && ctx.Err() != nil {
		return errs.With(errs.Canceled, err)
	}
	if err != nil {
		return errNoCredentials(err)
	}
	s.identity = "access key " + c.AccessKeyID
	if c.Source != "" {
		s.identity += " (" + c.Source + ")"
	}
	return nil
}

func errNoCredentials(err error) error {
	const text = "there are no usable credentials for s3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or for a bucket that everybody may read " + anonymousSetting + "=yes"
	if err == nil {
		return errs.New(errs.Denied, text)
	}
	return errs.New(errs.Denied, text+": %w", err)
}

// connect makes a client for a region.
func (s *Store) connect(region string) *s3.Client {
	return s3.NewFromConfig(s.cfg, func(o *s3.Options) {
		o.Region = region
		o.UsePathStyle = o.BaseEndpoint != nil
		// The signature covers a hash of the body, which every server checks; trailers with checksums not every server understands.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
}

// Server is what the environment says of which server buckets are on; "" for Amazon's.
func Server() string {
	var said []string
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE"} {
		if v := os.Getenv(name); v != "" {
			said = append(said, name+"="+v)
		}
	}
	return strings.Join(said, " ")
}

// URL implements object.Store.
func (s *Store) URL() string { return s.in.URL() }

// call makes a request, and once more when the bucket turns out to be in another region.
func (s *Store) call(ctx context.Context, what, name string, fn func(c *s3.Client) error) error {
	s.mu.Lock()
	c, was := s.client, s.region
	s.mu.Unlock()
	err := fn(c)
	if region := regionOf(err); region != "" && region != was && s.in.Server == "" {
		s.mu.Lock()
		if s.region == was {
			s.client, s.region = s.connect(region), region
		}
		c = s.client
		s.mu.Unlock()
		err = fn(c)
	}
	return s.failure(ctx, what, name, err)
}

// regionOf is the region that an answer says the bucket is in, "" when it does not.
func regionOf(err error) string {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

// failure gives an error of a request its class and says what was asked for, and as whom when that matters.
func (s *Store) failure(ctx context.Context, what, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errs.With(errs.Canceled, err)
	}
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() == 0 { // it did not come
		if errs.CodeOf(err) != errs.Internal {
			return err
		}
		if strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "retrieve credentials") {
			return errNoCredentials(err)
		}
		return fmt.Errorf("%s: %w", s.in.At(what, name), object.WireError(ctx, err))
	}
	code, text := "", ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code, text = api.ErrorCode(), api.ErrorMessage()
	}
	said := strings.TrimSpace(code + " " + text)
	if code == "" || code == "UnknownError" {
		said = fmt.Sprintf("HTTP status %d", answer.HTTPStatusCode())
	}
	switch code {
	case "NoSuchBucket":
		return s.in.ErrNoBucket(what, name)
	case "RequestTimeTooSkewed":
		return errs.New(errs.Denied, "%s: the clock of this machine is wrong: %s", s.in.At(what, name), said)
	case "PermanentRedirect", "AuthorizationHeaderMalformed":
		return errs.New(errs.Invalid, "%s: the bucket is in another region than %s: set AWS_REGION: %s", s.in.At(what, name), s.region, said)
	case "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return s.denied(what, name, said)
	case "QuotaExceeded", "XMinioStorageFull":
		return errs.New(errs.NoSpace, "%s: %s", s.in.At(what, name), said)
	}
	switch class := object.StatusClass(answer.HTTPStatusCode()); class {
	case errs.NotFound:
		return object.ErrNotFound(name)
	case errs.Conflict:
		return object.ErrCondition(name)
	case errs.Denied:
		return s.denied(what, name, said)
	default:
		return errs.New(class, "%s: %s", s.in.At(what, name), said)
	}
}

func (s *Store) denied(what, name, said string) error {
	return errs.New(errs.Denied, "%s was denied to %s: %s", s.in.At(what, name), s.identity, said)
}

func (s *Store) key(name string) *string { return aws.String(s.in.Prefix + name) }

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) (data []byte, g object.Generation, err error) {
	if err := object.CheckName(name); err != nil {
		return nil, "", err
	}
	err = s.call(ctx, "GetObject", name, func(c *s3.Client) error {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.in.Name, Key: s.key(name)})
		if err != nil {
			return err
		}
		data, err = object.ReadSmall(name, out.Body)
		g = object.Generation(aws.ToString(out.ETag))
		return errors.Join(err, out.Body.Close())
	})
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
	err := s.call(ctx, "GetObject", name, func(c *s3.Client) error {
		out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.in.Name, Key: s.key(name), Range: aws.String(object.Range(off, len(b)))})
		if err != nil {
			var answer *smithyhttp.ResponseError
			if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable {
				return object.PastEnd(name, answer.Response.Header.Get("Content-Range"), off+int64(len(b)))
			}
			return err
		}
		return errors.Join(object.ReadRange(ctx, name, b, off, out.Body, aws.ToString(out.ContentRange)), out.Body.Close())
	})
	return err
}

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	want, conditional := on.Wants()
	err := s.call(ctx, "PutObject", name, func(c *s3.Client) error {
		in := &s3.PutObjectInput{Bucket: &s.in.Name, Key: s.key(name), Body: object.BodyReader(body), ContentLength: aws.Int64(body.Size())}
		switch {
		case conditional && want == "":
			in.IfNoneMatch = aws.String("*")
		case conditional:
			in.IfMatch = aws.String(string(want))
		}
		_, err := c.PutObject(ctx, in)
		return err
	})
	if conditional && errs.Is(err, errs.NotFound) { // the object that was to be replaced
		return object.ErrCondition(name)
	}
	return err
}

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
	var next *string
	for {
		var page *s3.ListObjectsV2Output
		err := s.call(ctx, "ListObjectsV2", prefix, func(c *s3.Client) (err error) {
			page, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.in.Name, Prefix: s.key(prefix), ContinuationToken: next})
			return err
		})
		if errs.Is(err, errs.NotFound) {
			err = s.in.ErrNoBucket("ListObjectsV2", prefix)
		}
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			out = append(out, object.Info{Name: strings.TrimPrefix(aws.ToString(o.Key), s.in.Prefix), Size: aws.ToInt64(o.Size)})
		}
		if next = page.NextContinuationToken; !aws.ToBool(page.IsTruncated) || next == nil || len(out) >= most {
			break
		}
	}
	object.SortInfos(out)
	return out, nil
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (in object.Info, err error) {
	if err := object.CheckName(name); err != nil {
		return in, err
	}
	err = s.call(ctx, "HeadObject", name, func(c *s3.Client) error {
		out, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.in.Name, Key: s.key(name)})
		if err == nil {
			in = object.Info{Name: name, Size: aws.ToInt64(out.ContentLength)}
		}
		return err
	})
	return in, err
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.call(ctx, "DeleteObject", name, func(c *s3.Client) error {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.in.Name, Key: s.key(name)})
		return err
	})
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
	err := s.call(ctx, "DeleteObject", name, func(c *s3.Client) error {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.in.Name, Key: s.key(name), IfMatch: aws.String(string(g))})
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return object.ErrCondition(name)
	}
	return err
}
