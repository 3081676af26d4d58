package az

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

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

// container is a client for a container with the credentials that were found, and whose they are, for messages.
func (a *account) container(ctx context.Context, name string) (c *container.Client, identity string, err error) {
	client := object.Client()
	at, opt := a.endpoint+"/"+url.PathEscape(name), &container.ClientOptions{ClientOptions: options(client)}
	switch {
	case a.key != "":
		key, err := container.NewSharedKeyCredential(a.name, a.key)
		if err != nil {
			return nil, "", errs.New(errs.Denied, "az: the key of the account %s is not base64: set AZURE_STORAGE_KEY", a.name)
		}
		identity = "the key of the account " + a.name
		c, err = container.NewClientWithSharedKeyCredential(at, key, opt)
		return c, identity, unusable(err)
	case a.sas != "":
		values, err := url.ParseQuery(strings.TrimPrefix(a.sas, "?"))
		if err != nil || values.Get("sig") == "" {
			return nil, "", errs.New(errs.Denied, "az: the shared access signature cannot be read: set AZURE_STORAGE_SAS_TOKEN")
		}
		c, err = container.NewClientWithNoCredential(at+"?"+values.Encode(), opt)
		return c, "a shared access signature", unusable(err)
	}
	source, identity, err := tokens(ctx, client, private(a.endpoint))
	if err != nil {
		return nil, "", err
	}
	if source == nil {
		c, err = container.NewClientWithNoCredential(at, opt)
		return c, identity, unusable(err)
	}
	opt.InsecureAllowCredentialWithHTTP = true // only where it is private
	c, err = container.NewClient(at, source, opt)
	return c, identity, unusable(err)
}

// unusable is the error for settings of which Azure's client makes none.
func unusable(err error) error {
	if err == nil {
		return nil
	}
	return errs.New(errs.Invalid, "az: %w", err)
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
