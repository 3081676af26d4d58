package az

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// account is what the environment says of the account.
type account struct {
	name     string
	endpoint string // without a slash at the end
	other    bool   // than Azure's own for that name
	key, sas string // "" for none
}

// findAccount reads the environment, in whose names Azure's tools agree.
func findAccount() (*account, error) {
	a := &account{name: os.Getenv("AZURE_STORAGE_ACCOUNT"), key: os.Getenv("AZURE_STORAGE_KEY"), sas: os.Getenv("AZURE_STORAGE_SAS_TOKEN")}
	a.endpoint = os.Getenv("AZURE_STORAGE_SERVICE_ENDPOINT")
	suffix, protocol := "core.windows.net", "https"
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		for part := range strings.SplitSeq(text, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(k) {
			case "accountname":
				a.name = v
			case "accountkey":
				a.key = v
			case "sharedaccesssignature":
				a.sas = v
			case "blobendpoint":
				a.endpoint = v
			case "endpointsuffix":
				suffix = v
			case "defaultendpointsprotocol":
				protocol = v
			}
		}
	}
	if a.endpoint = strings.TrimRight(a.endpoint, "/"); a.endpoint != "" {
		a.other = true
		if a.name == "" && a.key == "" {
			return a, nil
		}
	}
	if a.name == "" {
		return nil, errs.New(errs.Invalid, "az: in which account the container is was not said: set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING")
	}
	if a.endpoint == "" {
		a.endpoint = protocol + "://" + a.name + ".blob." + suffix
	}
	return a, nil
}

// login is by whom requests are made.
type login struct {
	identity string // for messages
	sign     func(r *http.Request) error
}

// login finds the credentials.
func (a *account) login(ctx context.Context, client *http.Client) (login, error) {
	switch {
	case a.key != "":
		key, err := base64.StdEncoding.DecodeString(a.key)
		if err != nil {
			return login{}, errs.New(errs.Denied, "az: the key of the account %s is not base64: set AZURE_STORAGE_KEY", a.name)
		}
		return login{"the key of the account " + a.name, func(r *http.Request) error { return SignShared(r, a.name, key) }}, nil
	case a.sas != "":
		values, err := url.ParseQuery(strings.TrimPrefix(a.sas, "?"))
		if err != nil || values.Get("sig") == "" {
			return login{}, errs.New(errs.Denied, "az: the shared access signature cannot be read: set AZURE_STORAGE_SAS_TOKEN")
		}
		return login{"a shared access signature", func(r *http.Request) error {
			q := r.URL.Query()
			maps.Copy(q, values)
			r.URL.RawQuery = q.Encode()
			return nil
		}}, nil
	}
	source, identity, err := tokens(ctx, client)
	if err != nil || source == nil {
		const none = "nobody (no credentials were found: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or run 'az login')"
		return login{none, func(*http.Request) error { return nil }}, err
	}
	source = oauth2.ReuseTokenSource(nil, source)
	return login{identity, func(r *http.Request) error {
		t, err := source.Token()
		if err == nil {
			t.SetAuthHeader(r)
		}
		return err
	}}, nil
}

// SignShared signs a request with the key of an account, when nothing of it is to change any more.
func SignShared(r *http.Request, account string, key []byte) error {
	r.Header.Set("X-Ms-Date", clock.System{}.Now().UTC().Format(http.TimeFormat))
	length := ""
	if r.ContentLength > 0 {
		length = strconv.FormatInt(r.ContentLength, 10)
	}
	lines := []string{r.Method, "", "", length, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), "", "",
		r.Header.Get("If-Match"), r.Header.Get("If-None-Match"), "", r.Header.Get("Range")}
	var own []string
	for k, v := range r.Header {
		if k = strings.ToLower(k); strings.HasPrefix(k, "x-ms-") {
			own = append(own, k+":"+strings.Join(v, ","))
		}
	}
	slices.Sort(own)
	lines = append(append(lines, own...), "/"+account+r.URL.EscapedPath())
	query := r.URL.Query()
	for _, k := range slices.Sorted(maps.Keys(query)) {
		v := query[k]
		slices.Sort(v)
		lines = append(lines, strings.ToLower(k)+":"+strings.Join(v, ","))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(lines, "\n")))
	r.Header.Set("Authorization", "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

// What tokens are for, and who gives them.
const (
	resource  = "https://storage.azure.com/"
	authority = "https://login.microsoftonline.com/"
	imds      = "http://169.254.169.254"
	// imdsPatience is how long a machine's service of identities may take to answer: elsewhere nobody is at that address.
	imdsPatience = time.Second
	cliPatience  = 30 * time.Second
)

// tokens is where tokens come from: the first there is of a service principal, a workload identity, the machine's identity and the user of the
// command az. It is nil when there is none.
func tokens(ctx context.Context, client *http.Client) (source oauth2.TokenSource, identity string, err error) {
	tenant, id := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	host := os.Getenv("AZURE_AUTHORITY_HOST")
	if host == "" {
		host = authority
	}
	at := strings.TrimRight(host, "/") + "/" + tenant + "/oauth2/v2.0/token"
	form := url.Values{"client_id": {id}, "grant_type": {"client_credentials"}, "scope": {resource + ".default"}}
	secret, file := os.Getenv("AZURE_CLIENT_SECRET"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	switch {
	case tenant != "" && id != "" && secret != "":
		form.Set("client_secret", secret)
		return asked{client: client, what: func() (*http.Request, error) { return posted(at, form) }}, "the service principal " + id, nil
	case tenant != "" && id != "" && file != "":
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		return asked{client: client, what: func() (*http.Request, error) {
			token, err := os.ReadFile(file) // it is replaced from time to time
			if err != nil {
				return nil, errs.New(errs.Denied, "AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read: %w", err)
			}
			form.Set("client_assertion", strings.TrimSpace(string(token)))
			return posted(at, form)
		}}, "the workload identity " + id, nil
	}
	query := url.Values{"resource": {resource}}
	if id != "" {
		query.Set("client_id", id)
	}
	if at, header := os.Getenv("IDENTITY_ENDPOINT"), os.Getenv("IDENTITY_HEADER"); at != "" && header != "" {
		query.Set("api-version", "2019-08-01")
		return asked{client: client, what: func() (*http.Request, error) {
			r, err := http.NewRequest(http.MethodGet, at+"?"+query.Encode(), nil)
			if err == nil {
				r.Header.Set("X-Identity-Header", header)
			}
			return r, err
		}}, "the identity of this machine", nil
	}
	if answers(ctx, imds) {
		query.Set("api-version", "2018-02-01")
		direct := object.Client()
		direct.Transport.(*http.Transport).Proxy = nil
		return asked{client: direct, what: func() (*http.Request, error) {
			r, err := http.NewRequest(http.MethodGet, imds+"/metadata/identity/oauth2/token?"+query.Encode(), nil)
			if err == nil {
				r.Header.Set("Metadata", "true")
			}
			return r, err
		}}, "the identity of this machine", nil
	}
	if path, err := exec.LookPath("az"); err == nil {
		return commandLine(path), "the user of the command az", nil
	}
	return nil, "", nil
}

// answers tells whether somebody is at the address of the machine's service of identities.
func answers(ctx context.Context, at string) bool {
	d := net.Dialer{Timeout: imdsPatience}
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(at, "http://")+":80")
	return err == nil && conn.Close() == nil
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

// Token implements oauth2.TokenSource.
func (a asked) Token() (t *oauth2.Token, err error) {
	r, err := a.what()
	if err != nil {
		return nil, err
	}
	answer, err := a.client.Do(r)
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
	t = &oauth2.Token{AccessToken: told.Token}
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

// Token implements oauth2.TokenSource.
func (path commandLine) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), cliPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, string(path), "account", "get-access-token", "--resource", resource, "--output", "json")
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
	}
	if err := json.Unmarshal(out, &told); err != nil || told.Token == "" {
		return nil, errs.New(errs.Denied, "the command az gives no token")
	}
	t := &oauth2.Token{AccessToken: told.Token}
	if told.On > 0 {
		t.Expiry = time.Unix(told.On, 0)
	}
	return t, nil
}
