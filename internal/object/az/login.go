package az

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
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
	sign     func(ctx context.Context, r *http.Request) error
}

// login finds the credentials.
func (a *account) login(ctx context.Context, client *http.Client) (login, error) {
	switch {
	case a.key != "":
		key, err := base64.StdEncoding.DecodeString(a.key)
		if err != nil {
			return login{}, errs.New(errs.Denied, "az: the key of the account %s is not base64: set AZURE_STORAGE_KEY", a.name)
		}
		return login{"the key of the account " + a.name, func(_ context.Context, r *http.Request) error { return SignShared(r, a.name, key) }}, nil
	case a.sas != "":
		values, err := url.ParseQuery(strings.TrimPrefix(a.sas, "?"))
		if err != nil || values.Get("sig") == "" {
			return login{}, errs.New(errs.Denied, "az: the shared access signature cannot be read: set AZURE_STORAGE_SAS_TOKEN")
		}
		return login{"a shared access signature", func(_ context.Context, r *http.Request) error {
			q := r.URL.Query()
			maps.Copy(q, values)
			r.URL.RawQuery = q.Encode()
			return nil
		}}, nil
	}
	source, identity, err := tokens(ctx, client, private(a.endpoint))
	if err != nil || source == nil {
		return login{identity, func(context.Context, *http.Request) error { return nil }}, err
	}
	return login{identity, func(ctx context.Context, r *http.Request) error {
		t, err := source.token(ctx)
		if err == nil {
			t.SetAuthHeader(r)
		}
		return err
	}}, nil
}

// private tells whether nobody on the way reads what is sent to a URL: a token is enough to be its owner.
func private(at string) bool {
	u, err := url.Parse(at)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
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
