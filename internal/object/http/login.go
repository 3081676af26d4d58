package http

import (
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// FindLogin is who goes to the server of a URL: STEMMA_REMOTE_USER with STEMMA_REMOTE_PASSWORD (or, as with Dolt, DOLT_REMOTE_PASSWORD), else
// the entry for the host in the file that NETRC names, ~/.netrc otherwise. Where nothing says who, it is nobody.
func FindLogin(base string) (Login, error) {
	if user := os.Getenv("STEMMA_REMOTE_USER"); user != "" {
		password := os.Getenv("STEMMA_REMOTE_PASSWORD")
		if password == "" {
			password = os.Getenv("DOLT_REMOTE_PASSWORD")
		}
		return Login{user, password}, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return Login{}, errs.New(errs.Invalid, "%s is no URL: %w", base, err)
	}
	file := os.Getenv("NETRC")
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Login{}, nil // who has no home has no file of logins there, and is nobody
		}
		file = filepath.Join(home, ".netrc")
		if runtime.GOOS == "windows" {
			file = filepath.Join(home, "_netrc")
		}
	}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return Login{}, nil
	}
	if err != nil {
		return Login{}, errs.New(errs.Denied, "read the credentials for %s: %w", u.Hostname(), err)
	}
	return netrc(string(text), u.Hostname()), nil
}

// netrc is the entry of a host, or the default one, in a file of logins.
func netrc(text, host string) Login {
	var macro bool
	var words []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			macro = false
		case macro:
		case f[0] == "macdef":
			macro = true
		default:
			for _, w := range f {
				if strings.HasPrefix(w, "#") {
					break
				}
				words = append(words, w)
			}
		}
	}
	var found Login
	applies := false
	for i := 0; i < len(words); i++ {
		next := func() string {
			if i++; i < len(words) {
				return words[i]
			}
			return ""
		}
		switch words[i] {
		case "machine":
			if applies {
				return found
			}
			applies = next() == host
		case "default":
			if applies {
				return found
			}
			applies = true
		case "login":
			if w := next(); applies {
				found.User = w
			}
		case "password":
			if w := next(); applies {
				found.Password = w
			}
		case "account":
			next()
		}
	}
	return found
}
