package az

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// What tokens are for, and who gives them.
const (
	resource  = "https://storage.azure.com/"
	authority = "https://login.microsoftonline.com/"
	imds      = "http://169.254.169.254"
)

// How long those who give tokens may take.
const (
	tokenPatience = 30 * time.Second
	imdsReached   = time.Second // elsewhere than on Azure's machines nobody is at the address of the service of identities
	imdsPatience  = 5 * time.Second
	cliWait       = time.Second     // for what the command az has started, when it is stopped
	tokenUnknown  = 5 * time.Minute // for which a token is used that does not tell how long it is good
)

// giver gives tokens.
type giver interface {
	give(ctx context.Context) (*oauth2.Token, error)
}

// tokenSource keeps a token as long as it is good. Who waits for one that another has asked for can give up.
type tokenSource struct {
	from giver
	turn chan struct{} // one may ask
	last *oauth2.Token
}

// newSource begins with a token that was given already; nil for none.
func newSource(from giver, t *oauth2.Token) *tokenSource {
	return &tokenSource{from: from, turn: make(chan struct{}, 1), last: t}
}

func (s *tokenSource) token(ctx context.Context) (*oauth2.Token, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.last.Valid() {
		return s.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenPatience)
	defer cancel()
	t, err := s.from.give(ctx)
	if err != nil {
		return nil, err
	}
	s.last = t
	return t, nil
}

// tokens is where tokens come from, and who that is: the first there is of a service principal, a workload identity, the machine's identity and
// the user of the command az. It is nil when there is none. Where others could read them, which private denies, the first two are an error: who
// names them wants to be them. The others are asked for a token at once, since that they are there does not mean that they give any.
func tokens(ctx context.Context, client *http.Client, private bool) (source *tokenSource, identity string, err error) {
	from, identity, err := named(client)
	switch {
	case err != nil:
		return nil, "", err
	case from != nil && !private:
		return nil, "", errs.New(errs.Invalid, "az: a token for %s is not sent over http, where others could read it: name an endpoint that begins with https://, or set AZURE_STORAGE_KEY", identity)
	case from != nil:
		return newSource(from, nil), identity, nil
	case !private:
		return nil, "nobody (tokens are not sent over http: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or name an endpoint that begins with https://)", nil
	}
	const machine = "the identity of this machine"
	query := url.Values{"resource": {resource}}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		query.Set("client_id", id)
	}
	if at, header := os.Getenv("IDENTITY_ENDPOINT"), os.Getenv("IDENTITY_HEADER"); at != "" && header != "" {
		query.Set("api-version", "2019-08-01")
		return newSource(asked{client, func() (*http.Request, error) {
			r, err := http.NewRequest(http.MethodGet, at+"?"+query.Encode(), nil)
			if err == nil {
				r.Header.Set("X-Identity-Header", header)
			}
			return r, err
		}}, nil), machine, nil
	}
	from = metadata(query)
	t, err := within(ctx, imdsPatience, from)
	if err == nil {
		return newSource(from, t), machine, nil
	}
	if ctx.Err() != nil {
		return nil, "", errs.With(errs.Canceled, ctx.Err())
	}
	const advice = "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or run 'az login'"
	path, err := exec.LookPath("az")
	if err != nil {
		return nil, "nobody (no credentials were found: " + advice + ")", nil
	}
	from = commandLine(path)
	t, err = within(ctx, tokenPatience, from)
	if ctx.Err() != nil {
		return nil, "", errs.With(errs.Canceled, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Sprintf("nobody (%v: %s)", err, advice), nil
	}
	return newSource(from, t), "the user of the command az", nil
}

func within(ctx context.Context, patience time.Duration, from giver) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return from.give(ctx)
}

// named is the service principal or workload identity that the environment names; nil for none.
func named(client *http.Client) (from giver, identity string, err error) {
	tenant, id := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	secret, file := os.Getenv("AZURE_CLIENT_SECRET"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if tenant == "" || id == "" || secret == "" && file == "" {
		return nil, "", nil
	}
	host := os.Getenv("AZURE_AUTHORITY_HOST")
	if host == "" {
		host = authority
	}
	if !private(host) {
		return nil, "", errs.New(errs.Invalid, "az: the secret of %s is not sent over http, where others could read it: AZURE_AUTHORITY_HOST is to begin with https://", id)
	}
	at := strings.TrimRight(host, "/") + "/" + tenant + "/oauth2/v2.0/token"
	form := url.Values{"client_id": {id}, "grant_type": {"client_credentials"}, "scope": {resource + ".default"}}
	if secret != "" {
		form.Set("client_secret", secret)
		return asked{client, func() (*http.Request, error) { return posted(at, form) }}, "the service principal " + id, nil
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	return asked{client, func() (*http.Request, error) {
		token, err := os.ReadFile(file) // it is replaced from time to time
		if err != nil {
			return nil, errs.New(errs.Denied, "AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read: %w", err)
		}
		form.Set("client_assertion", strings.TrimSpace(string(token)))
		return posted(at, form)
	}}, "the workload identity " + id, nil
}

// metadata is the service of identities of Azure's machines, or the one in its place that AZURE_POD_IDENTITY_AUTHORITY_HOST names.
func metadata(query url.Values) giver {
	host := os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
	if host == "" {
		host = imds
	}
	query.Set("api-version", "2018-02-01")
	direct := object.Client()
	tr := direct.Transport.(*http.Transport)
	tr.Proxy, tr.DialContext = nil, (&net.Dialer{Timeout: imdsReached}).DialContext
	return asked{direct, func() (*http.Request, error) {
		r, err := http.NewRequest(http.MethodGet, strings.TrimRight(host, "/")+"/metadata/identity/oauth2/token?"+query.Encode(), nil)
		if err == nil {
			r.Header.Set("Metadata", "true")
		}
		return r, err
	}}
}

func posted(at string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, at, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, err
}

// asked is tokens that a server gives.
type asked struct {
	client *http.Client
	what   func() (*http.Request, error)
}

// seconds is a number that some servers write as text.
type seconds int64

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*s = seconds(n)
	return err
}

// give implements giver.
func (a asked) give(ctx context.Context) (t *oauth2.Token, err error) {
	r, err := a.what()
	if err != nil {
		return nil, err
	}
	answer, err := a.client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, object.SmallMost))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &oauth2.RetrieveError{Response: answer, Body: body}
	}
	var told struct {
		Token   string  `json:"access_token"`
		Expires seconds `json:"expires_in"`
		On      seconds `json:"expires_on"`
	}
	if err := json.Unmarshal(body, &told); err != nil || told.Token == "" {
		return nil, errs.New(errs.Denied, "the answer to a request for a token has none")
	}
	t = &oauth2.Token{AccessToken: told.Token, Expiry: clock.System{}.Now().Add(tokenUnknown)}
	switch {
	case told.Expires > 0:
		t.Expiry = clock.System{}.Now().Add(time.Duration(told.Expires) * time.Second)
	case told.On > 0:
		t.Expiry = time.Unix(int64(told.On), 0)
	}
	return t, nil
}

// commandLine is tokens of the user who has logged in by the command az, whose path it is.
type commandLine string

// give implements giver.
func (path commandLine) give(ctx context.Context) (*oauth2.Token, error) {
	cmd := exec.CommandContext(ctx, string(path), "account", "get-access-token", "--resource", resource, "--output", "json")
	cmd.WaitDelay = cliWait
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return nil, errs.New(errs.Denied, "the command az gives no token: %s", strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return nil, errs.New(errs.Denied, "the command az gives no token: %w", err)
	}
	var told struct {
		Token string `json:"accessToken"`
		On    int64  `json:"expires_on"`
		Local string `json:"expiresOn"` // all that versions before 2.54 tell
	}
	if err := json.Unmarshal(out, &told); err != nil || told.Token == "" {
		return nil, errs.New(errs.Denied, "the command az gives no token")
	}
	t := &oauth2.Token{AccessToken: told.Token, Expiry: clock.System{}.Now().Add(tokenUnknown)}
	if told.On > 0 {
		t.Expiry = time.Unix(told.On, 0)
	} else if on, err := time.ParseInLocation("2006-01-02 15:04:05", told.Local, time.Local); err == nil {
		t.Expiry = on
	}
	return t, nil
}
