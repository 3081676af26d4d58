package op

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// Settings finds the two configuration files: the user's and the database's. A file is a JSON object of strings; names are words
// with points between them, in lower case. The database's value wins over the user's.
type Settings struct {
	Global string // path of the user's file, which need not exist
	Local  string // path of the database's file, which need not exist; "" when there is no database
}

// Names of settings.
const (
	UserName          = "user.name"
	UserEmail         = "user.email"
	InitDefaultBranch = "init.defaultbranch"
)

// Get is the value of a setting: the database's, else the user's. ok is false when neither has it.
func (s Settings) Get(name string) (val string, ok bool, err error) {
	for _, path := range []string{s.Local, s.Global} {
		m, err := readSettings(path)
		if err != nil {
			return "", false, err
		}
		if v, ok := m[normalName(name)]; ok {
			return v, true, nil
		}
	}
	return "", false, nil
}

// DefaultBranch is the name of a new database's first branch.
func (s Settings) DefaultBranch() (string, error) {
	b, ok, err := s.Get(InitDefaultBranch)
	if err != nil {
		return "", err
	}
	if !ok || b == "" {
		return "main", nil
	}
	return b, nil
}

// Fallback is where an identity comes from when no setting gives it.
type Fallback struct {
	Env   func(string) string // the environment; nil is an empty one
	Login string              // the operating system's name of the user
	Full  string              // the user's full name; may be empty
	Host  string              // the machine's name
}

// Environment variables of an identity.
const (
	EnvAuthorName  = "STEMMA_AUTHOR_NAME"
	EnvAuthorEmail = "STEMMA_AUTHOR_EMAIL"
)

// Identity is the author of commits. Name and mail are looked up apart: database's setting, user's setting, environment, operating
// system. When the last was needed, hint is a line that tells the user so.
func (s Settings) Identity(f Fallback) (a Author, hint string, err error) {
	lookup := func(setting, env, system string) (val string, guessed bool, err error) {
		v, ok, err := s.Get(setting)
		if err != nil {
			return "", false, err
		}
		if ok && v != "" {
			return v, false, nil
		}
		if f.Env != nil {
			if v := f.Env(env); v != "" {
				return v, false, nil
			}
		}
		return system, true, nil
	}
	login := f.Login
	if login == "" {
		login = "unknown"
	}
	host := f.Host
	if host == "" {
		host = "localhost"
	}
	full := f.Full
	if full == "" {
		full = login
	}
	var noName, noMail bool
	if a.Name, noName, err = lookup(UserName, EnvAuthorName, full); err != nil {
		return Author{}, "", err
	}
	if a.Email, noMail, err = lookup(UserEmail, EnvAuthorEmail, login+"@"+host); err != nil {
		return Author{}, "", err
	}
	if noName || noMail {
		hint = fmt.Sprintf("commits are by %s; to change that: config --global --set user.name \"Your Name\" user.email you@example.com", a)
	}
	return a, hint, nil
}

func normalName(name string) string { return strings.ToLower(name) }

// readSettings reads a file; one that does not exist, or path "", is empty.
func readSettings(path string) (map[string]string, error) {
	m := map[string]string{}
	if path == "" {
		return m, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, settingsError("read", path, err)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, errs.New(errs.Invalid, "read settings %s: want a JSON object of strings: %w", path, err)
	}
	for _, k := range slices.Collect(maps.Keys(m)) {
		if n := normalName(k); n != k {
			if _, both := m[n]; !both {
				m[n] = m[k]
			}
			delete(m, k)
		}
	}
	return m, nil
}

// How long a writer waits for another one.
const (
	settingsWait  = 2 * time.Second
	settingsPause = 20 * time.Millisecond
)

// changeSettings rewrites a file in one step: a reader sees all of the change or nothing. The new file is made as path.lock, so
// that writers exclude each other.
func changeSettings(path string, change func(map[string]string)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return settingsError("write", path, err)
	}
	f, err := lockSettings(path)
	if err != nil {
		return err
	}
	err = writeSettings(f, path, change)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return settingsError("write", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// lockSettings creates the new file beside path, waiting a while for a process that has done so before.
func lockSettings(path string) (*os.File, error) {
	lock := path + ".lock"
	for waited := time.Duration(0); ; waited += settingsPause {
		f, err := os.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, settingsError("write", path, err)
		}
		if waited >= settingsWait {
			return nil, errs.New(errs.Locked, "write settings %s: another process is writing them; if none is, delete %s", path, lock)
		}
		time.Sleep(settingsPause)
	}
}

// writeSettings fills f with the changed settings of path, makes them durable and closes f, whatever happens.
func writeSettings(f *os.File, path string, change func(map[string]string)) error {
	m, err := readSettings(path)
	if err == nil {
		change(m)
		var b []byte
		if b, err = json.MarshalIndent(m, "", "  "); err == nil { // a map's keys come out sorted
			if _, err = f.Write(append(b, '\n')); err == nil {
				err = f.Sync()
			}
		}
	}
	return errors.Join(err, f.Close())
}

// settingsError gives an error of the operating system its class and object; one that has a class stays.
func settingsError(verb, path string, err error) error {
	c := errs.CodeOf(err)
	if errors.Is(err, fs.ErrPermission) {
		c = errs.Denied
	}
	return errs.New(c, "%s settings %s: %w", verb, path, err)
}
