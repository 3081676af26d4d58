package az

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// scope is what tokens are for.
const scope = "https://storage.azure.com/.default"

// How long those who give tokens may take.
const (
	tokenPatience = 30 * time.Second
	imdsReached   = time.Second // elsewhere than on Azure's machines nobody is at the address of the service of identities
	imdsPatience  = 5 * time.Second
)

// source gives the tokens of a credential, as whose it says when it cannot.
type source struct {
	azcore.TokenCredential
	identity string
	command  bool // asks a program, which says all there is to say
	first    atomic.Pointer[azcore.AccessToken]
}

// GetToken implements azcore.TokenCredential. The token is for storage, whatever the server that wants it says in its answers.
func (s *source) GetToken(ctx context.Context, opt policy.TokenRequestOptions) (azcore.AccessToken, error) {
	opt.Scopes = []string{scope}
	if t := s.first.Swap(nil); t != nil && opt.Claims == "" && t.ExpiresOn.After(clock.System{}.Now()) {
		return *t, nil
	}
	one, cancel := context.WithTimeout(ctx, tokenPatience)
	defer cancel()
	t, err := s.TokenCredential.GetToken(one, opt)
	if err == nil {
		return t, nil
	}
	if ctx.Err() != nil {
		return t, &tokenless{errs.With(errs.Canceled, err)}
	}
	class := errs.Unavailable
	var answer *azidentity.AuthenticationFailedError
	if s.command || errors.As(err, &answer) && answer.RawResponse != nil && object.StatusClass(answer.RawResponse.StatusCode) != errs.Unavailable {
		class = errs.Denied
	}
	return t, &tokenless{errs.New(class, "no token for %s: %s", s.identity, said(err))}
}

// tokenless is the error of a request for which there is no token.
type tokenless struct{ error }

// Unwrap is for errors.Is and errors.As.
func (t *tokenless) Unwrap() error { return t.error }

// NonRetriable keeps Azure's client from asking again.
func (*tokenless) NonRetriable() {}

// said is the gist of why there is no token, in a line.
func said(err error) string {
	var answer *azidentity.AuthenticationFailedError
	if !errors.As(err, &answer) || answer.RawResponse == nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return text
	}
	var told struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	text, _ := runtime.Payload(answer.RawResponse) // the status says enough where it breaks off
	if json.Unmarshal(text, &told) != nil || told.Error == "" {
		return answer.RawResponse.Status
	}
	line, _, _ := strings.Cut(told.Description, "\n")
	return strings.TrimSpace(answer.RawResponse.Status + ": " + told.Error + " " + strings.TrimSpace(line))
}

// tokens is where tokens come from, and who that is: the first there is of a service principal, a workload identity, the machine's identity and
// the user of the command az. It is nil when there is none. Where others could read them, which private denies, the first two are an error: who
// names them wants to be them. The others are asked for a token at once, since that they are there does not mean that they give any. It is not
// azidentity's own chain, which tells neither who gives a token nor, before the first request, that nobody does.
func tokens(ctx context.Context, client *http.Client, private bool) (from *source, identity string, err error) {
	from, err = named(client, private)
	switch {
	case err != nil:
		return nil, "", err
	case from != nil:
		return from, from.identity, nil
	case !private:
		return nil, "nobody (tokens are not sent over http: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or name an endpoint that begins with https://)", nil
	}
	app := os.Getenv("IDENTITY_ENDPOINT") != "" && os.Getenv("IDENTITY_HEADER") != ""
	if from, err = machine(client, app); err != nil {
		return nil, "", err
	}
	if app {
		return from, from.identity, nil
	}
	if err = from.begin(ctx, imdsPatience); err == nil {
		return from, from.identity, nil
	}
	if ctx.Err() != nil {
		return nil, "", errs.With(errs.Canceled, ctx.Err())
	}
	const advice = "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or run 'az login'"
	if _, err := exec.LookPath("az"); err != nil {
		return nil, "nobody (no credentials were found: " + advice + ")", nil
	}
	user, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		return nil, "", unusable(err)
	}
	from = &source{TokenCredential: user, identity: "the user of the command az", command: true}
	err = from.begin(ctx, tokenPatience)
	if ctx.Err() != nil {
		return nil, "", errs.With(errs.Canceled, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Sprintf("nobody (%v: %s)", err, advice), nil
	}
	return from, from.identity, nil
}

// begin asks for the first token.
func (s *source) begin(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := s.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err == nil {
		s.first.Store(&t)
	}
	return err
}

// named is the service principal or workload identity that the environment names; nil for none.
func named(client *http.Client, private bool) (*source, error) {
	tenant, id := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	principal := os.Getenv("AZURE_CLIENT_SECRET") != "" || os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") != ""
	file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if tenant == "" || id == "" || !principal && file == "" {
		return nil, nil
	}
	s := &source{identity: "the workload identity " + id}
	if principal {
		s.identity = "the service principal " + id
	}
	authority := os.Getenv("AZURE_AUTHORITY_HOST")
	if u, err := url.Parse(authority); authority != "" && (err != nil || u.Scheme != "https") {
		return nil, errs.New(errs.Invalid, "az: the secret of %s is not sent over http, where others could read it: AZURE_AUTHORITY_HOST is to begin with https://", id)
	}
	if !private {
		return nil, errs.New(errs.Invalid, "az: a token for %s is not sent over http, where others could read it: name an endpoint that begins with https://, or set AZURE_STORAGE_KEY", s.identity)
	}
	// Who names an authority trusts it, and Microsoft's public one, which would be asked about it, need not know it.
	trusted := authority != ""
	var err error
	if principal {
		s.TokenCredential, err = azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options(client), DisableInstanceDiscovery: trusted})
	} else {
		if _, err := os.ReadFile(file); err != nil {
			return nil, errs.New(errs.Denied, "az: AZURE_FEDERATED_TOKEN_FILE names a file that cannot be read: %w", err)
		}
		s.TokenCredential, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options(client), DisableInstanceDiscovery: trusted})
	}
	if err != nil {
		return nil, errs.New(errs.Denied, "az: %s: %w", s.identity, err)
	}
	return s, nil
}

// machine is the identity of this machine. That of an app is asked where the environment says; else it is the service of identities of Azure's
// machines, past all proxies, or the one in its place that AZURE_POD_IDENTITY_AUTHORITY_HOST names.
func machine(client *http.Client, app bool) (*source, error) {
	if !app {
		client = object.Client()
		tr := client.Transport.(*http.Transport)
		direct := &net.Dialer{Timeout: imdsReached}
		tr.Proxy, tr.DialContext = nil, direct.DialContext
		if u, err := url.Parse(os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")); err == nil && u.Host != "" {
			host := u.Host
			if u.Port() == "" {
				host = net.JoinHostPort(u.Hostname(), "80")
			}
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return direct.DialContext(ctx, network, host)
			}
		}
	}
	opt := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options(client)}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		opt.ID = azidentity.ClientID(id)
	}
	c, err := azidentity.NewManagedIdentityCredential(opt)
	if err != nil {
		return nil, unusable(err)
	}
	return &source{TokenCredential: c, identity: "the identity of this machine"}, nil
}
