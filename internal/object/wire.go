package object

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// How long a server may take for parts of a request that must not depend on the size of what is sent.
const (
	dialPatience   = 15 * time.Second
	headerPatience = 30 * time.Second
	idleConns      = 64 // to one server: more than sync has requests under way
	idlePatience   = 90 * time.Second
	wireBuffer     = 64 << 10 // bytes
)

// Client is an HTTP client for a store, without redirects, which could lead credentials elsewhere. Its transport is as Tune makes it.
func Client() *http.Client {
	t := &http.Transport{}
	Tune(t)
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: t}
}

// Tune makes a transport fit for a store: one connection for each request under way (so that ranges of a pack do not wait for each other),
// bodies as they are stored, patience that does not depend on their length, and the environment's proxies.
func Tune(t *http.Transport) {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.Proxy = http.ProxyFromEnvironment
	t.DialContext = (&net.Dialer{Timeout: dialPatience, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = dialPatience
	t.ResponseHeaderTimeout = headerPatience
	t.ExpectContinueTimeout = time.Second
	t.MaxIdleConns, t.MaxIdleConnsPerHost = idleConns, idleConns
	t.IdleConnTimeout = idlePatience
	t.DisableCompression = true
	t.ReadBufferSize, t.WriteBufferSize = wireBuffer, wireBuffer
}

// StatusClass is the class of an error that a server of objects answers with an HTTP status.
func StatusClass(status int) errs.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return errs.Denied
	case http.StatusNotFound, http.StatusGone:
		return errs.NotFound
	case http.StatusPreconditionFailed:
		return errs.Conflict
	case http.StatusInsufficientStorage:
		return errs.NoSpace
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return errs.Unsupported
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return errs.Unavailable
	}
	if status >= 500 {
		return errs.Unavailable
	}
	return errs.Invalid
}

// WireError gives an error of a request that was not answered, or not to the end, its class: what another try may mend is Unavailable.
func WireError(ctx context.Context, err error) error {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errs.With(errs.Canceled, err)
	case errors.As(err, &dns) && dns.IsNotFound:
		return errs.New(errs.Invalid, "there is no host %s: %w", dns.Name, err)
	case errors.As(err, &authority):
		return errs.New(errs.Invalid, "%w: its certificate is not of an authority that this machine trusts; the environment variable SSL_CERT_FILE names a file with the certificates of those to be trusted", err)
	case errors.As(err, &host), errors.As(err, &certificate):
		return errs.With(errs.Invalid, err)
	}
	if why := stranger(err); why != "" {
		return errs.New(errs.Invalid, "%s", why)
	}
	return errs.With(errs.Unavailable, &unanswered{err})
}

// stranger is what answers there where that is something else than a server of HTTP, or of HTTPS, as the error tells; "" where it does not.
func stranger(err error) string {
	text := err.Error()
	var record tls.RecordHeaderError
	switch _, got, malformed := strings.Cut(text, "malformed HTTP response "); {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "what answers there speaks HTTP and not HTTPS: write http:// instead of https://"
	case malformed && greetsAsMySQL(got), errors.As(err, &record) && record.RecordHeader[3] == 0 && record.RecordHeader[4] == mysqlProtocol:
		return "what answers there is a port for clients of MySQL: name that for remotes, which 'serve --remote-port' says (usual: 8816)"
	case malformed && strings.HasPrefix(got, `"\x00\x00`):
		return "what answers there speaks HTTP/2 only, as a port for Arrow Flight does: name that for remotes, which 'serve --remote-port' says (usual: 8816)"
	case malformed, errors.As(err, &record):
		return "what answers there is no server of HTTP: name the port that 'serve --remote-port' says (usual: 8816)"
	}
	return ""
}

// mysqlProtocol is the first byte of a packet with which servers of MySQL greet, and the first that ends a line.
const mysqlProtocol = 10

// greetsAsMySQL tells whether a quoted line is the header of the packet with which a server of MySQL greets: three bytes of its length, and its number 0.
func greetsAsMySQL(quoted string) bool {
	line, err := strconv.Unquote(quoted)
	return err == nil && len(line) == 4 && line[2] == 0 && line[3] == 0
}

// Unanswered tells whether an error is of a request to which no answer came, as WireError makes them, so that the server has said nothing of what it
// can take.
func Unanswered(err error) bool {
	var u *unanswered
	return errors.As(err, &u)
}

type unanswered struct{ err error }

func (u *unanswered) Error() string { return u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// errorMost bounds what is read of an answer that is an error, in bytes.
const errorMost = 64 << 10

// Bounded is a transport whose answers with the status of an error are cut where more is told than anybody reads, for clients that read all of
// them.
func Bounded(rt http.RoundTripper) http.RoundTripper { return bounded{rt} }

type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil && answer.StatusCode >= 300 {
		answer.Body = &cut{io.LimitReader(answer.Body, errorMost), answer.Body}
	}
	return answer, err
}

// cut is a body of which the beginning is read.
type cut struct {
	io.Reader
	io.Closer
}

// Answered hands on the answer to a request: to read or, when its status is that of an error, to failure, with what it says. at is the
// request, for messages. The class of an error of reading is WireError's.
func Answered(ctx context.Context, at string, r *http.Response, failure func(r *http.Response, text []byte) error, read func(*http.Response) error) (err error) {
	defer func() { err = errors.Join(err, r.Body.Close()) }()
	if r.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(r.Body, errorMost)) // the status says enough where the text breaks off
		if ctx.Err() != nil {
			return errs.New(errs.Canceled, "%s: %w", at, ctx.Err())
		}
		return failure(r, text)
	}
	if err := read(r); err != nil {
		if errs.CodeOf(err) == errs.Internal {
			err = fmt.Errorf("%s: %w", at, WireError(ctx, err))
		}
		return err
	}
	return nil
}

// SmallMost is how long an object may be, in bytes, that Get reads from a server.
const SmallMost = 64 << 20

// ReadSmall reads an object, for Get.
func ReadSmall(name string, body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, SmallMost+1))
	if err == nil && len(data) > SmallMost {
		return nil, errs.New(errs.Corrupt, "object %s has more than %d bytes, which none of its kind has", name, SmallMost)
	}
	return data, err
}

// Range is the value of the header that asks for n bytes, at least one, from off on.
func Range(off int64, n int) string {
	return "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+int64(n)-1, 10)
}

// ReadRange fills b from the body of an answer to a request with the header Range: the bytes of an object from off on. contentRange is the
// answer's header of that name, "" when there is none.
func ReadRange(ctx context.Context, name string, b []byte, off int64, body io.Reader, contentRange string) error {
	if contentRange == "" && off > 0 {
		return errs.New(errs.Unsupported, "read object %s: the server gives no ranges of objects", name)
	}
	if contentRange != "" && !strings.HasPrefix(contentRange, "bytes "+strconv.FormatInt(off, 10)+"-") {
		return errs.New(errs.Unavailable, "read object %s: asked for bytes from %d on, the server answered with %q", name, off, contentRange)
	}
	n, err := io.ReadFull(body, b)
	if n == len(b) {
		return nil
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return WireError(ctx, err)
	}
	// It is the end of the object, or of a connection that broke: the length of the whole tells.
	if _, total, ok := strings.Cut(contentRange, "/"); ok {
		if size, e := strconv.ParseInt(total, 10, 64); e == nil && size >= off+int64(len(b)) {
			return errs.New(errs.Unavailable, "read object %s: the answer broke off after %d of %d bytes", name, n, len(b))
		}
	}
	return ErrShort(name, off+int64(n), off+int64(len(b)))
}

// PastEnd is the error for a range that begins behind the end of an object, which the header Content-Range of the answer says.
func PastEnd(name, contentRange string, want int64) error {
	have, err := strconv.ParseInt(strings.TrimPrefix(contentRange, "bytes */"), 10, 64)
	if err != nil {
		return errs.New(errs.Corrupt, "object %s has fewer than the %d bytes that were to be read", name, want)
	}
	return ErrShort(name, have, want)
}

// BodyReader reads a body from its beginning.
func BodyReader(b Body) *io.SectionReader { return io.NewSectionReader(b, 0, b.Size()) }
