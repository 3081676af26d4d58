package cli

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// envHome names the environment variable that holds the directory of the user's settings.
const envHome = "STEMMA_HOME"

// scope is what a verb runs in: here, now, by this user. The hint tells the user when the author was guessed.
func (p *Program) scope() (s *op.Scope, hint string, err error) {
	s = &op.Scope{
		Dir: p.dir, Base: p.base, Branch: p.globals.Branch, Clock: p.Clock, In: p.In, Out: p.Out, Dolt: p.dolt(), Version: p.Version, Terminal: isTerminal(p.Out),
		Progress: newProgress(p.Err, p.globals.Quiet),
	}
	if s.Settings.Global, err = p.globalSettings(); err != nil {
		return nil, "", err
	}
	if marker, ok, err := findDatabase(p.dir); err != nil {
		return nil, "", err
	} else if ok {
		s.Settings.Local = filepath.Join(marker, "config")
	}
	if s.Author, hint, err = s.Settings.Identity(p.fallback()); err != nil {
		return nil, "", err
	}
	if hint != "" {
		hint = strings.Replace(hint, "config --global", p.name+" config --global", 1)
	}
	return s, hint, nil
}

// globalSettings is the path of the user's settings: $STEMMA_HOME/config, or stemma/config where the operating system keeps
// configuration. It is "" when there is no such place.
func (p *Program) globalSettings() (string, error) {
	if home := p.Env(envHome); home != "" {
		return filepath.Join(absolute(p.Dir, home), "config"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil { // no home directory: settings are then the database's only
		return "", nil
	}
	return filepath.Join(dir, "stemma", "config"), nil
}

// fallback is the operating system's idea of the user. What it does not know stays empty.
func (p *Program) fallback() op.Fallback {
	f := op.Fallback{Env: p.Env}
	if u, err := user.Current(); err == nil {
		f.Login = u.Username
		if i := strings.LastIndexByte(f.Login, '\\'); i >= 0 { // DOMAIN\name
			f.Login = f.Login[i+1:]
		}
		f.Full, _, _ = strings.Cut(u.Name, ",") // the rest of a GECOS field is rooms and telephones
	}
	if h, err := os.Hostname(); err == nil {
		f.Host = h
	}
	return f
}

// markers are the directories that make a directory a database: ours, and the one that Dolt's tools look for.
var markers = [...]string{".stemma", ".dolt"}

// findDatabase is the path of the directory inside dir that holds its database.
func findDatabase(dir string) (marker string, ok bool, err error) {
	for _, m := range markers {
		path := filepath.Join(dir, m)
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return path, true, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return "", false, errs.New(errs.Denied, "look for a database in %s: %w", dir, err)
		}
	}
	return "", false, nil
}

// absolute is path seen from dir; "" is dir.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
