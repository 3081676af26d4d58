package op

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
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
	GCAuto            = "gc.auto"
	GCGrowth          = "gc.growth"
	PushAutoSetup     = "push.autosetupremote"
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

// Growth is the part, in hundredths, by which a database is to have grown since garbage was collected, for that to be done by itself; 0 is
// never.
func (s Settings) Growth() (int, error) {
	auto, ok, err := s.Get(GCAuto)
	if err != nil {
		return 0, err
	}
	if ok {
		if on, err := onOrOff(GCAuto, auto); err != nil || !on {
			return 0, err
		}
	}
	growth, ok, err := s.Get(GCGrowth)
	if err != nil || !ok {
		return repo.DefaultGrowth, err
	}
	return perCent(growth)
}

// pushAutoSetup is whether a push of a branch that follows none makes it follow the remote's of its name.
func (s Settings) pushAutoSetup() (bool, error) {
	v, ok, err := s.Get(PushAutoSetup)
	if err != nil || !ok {
		return false, err
	}
	return onOrOff(PushAutoSetup, v)
}

// onOrOff reads the value of a setting that is on or off.
func onOrOff(name, v string) (bool, error) {
	switch strings.ToLower(v) {
	case "off", "false", "0", "no":
		return false, nil
	case "", "on", "true", "1", "yes":
		return true, nil
	}
	return false, errs.New(errs.Invalid, "setting %s: %q is neither on nor off", normalName(name), v)
}

// perCent reads the value of GCGrowth.
func perCent(v string) (int, error) {
	const most = 10_000
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), "%"))
	if err != nil || n < 1 || n > most {
		return 0, errs.New(errs.Invalid, "setting %s: want a whole number of per cent from 1 to %d, not %q", GCGrowth, most, v)
	}
	return n, nil
}

// checkValue refuses a value that the program could not use; settings that it does not know have any.
func checkValue(name, value string) (err error) {
	switch normalName(name) {
	case GCAuto, PushAutoSetup:
		_, err = onOrOff(name, value)
	case GCGrowth:
		_, err = perCent(value)
	}
	return err
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
	if m == nil { // null
		m = map[string]string{}
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

// changeSettings rewrites a file in one step: a reader sees all of the change or nothing. Writers exclude each other by a lock on
// path.lock, which is free when the process that had it is dead.
func changeSettings(path string, change func(map[string]string)) (err error) {
	if err := (vfs.OS{}).MkdirAll(filepath.Dir(path)); err != nil {
		return settingsError("write", path, err)
	}
	lock, err := lockSettings(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	m, err := readSettings(path)
	if err != nil {
		return err
	}
	change(m)
	if err := writeSettings(path, m); err != nil {
		return settingsError("write", path, err)
	}
	return nil
}

// lockSettings takes the lock of the writers of path, waiting a while for another process that has it.
func lockSettings(path string) (io.Closer, error) {
	for waited := time.Duration(0); ; waited += settingsPause {
		lock, err := vfs.OS{}.Lock(path + ".lock")
		if !errs.Is(err, errs.Locked) {
			if err != nil {
				return nil, settingsError("write", path, err)
			}
			return lock, nil
		}
		if waited >= settingsWait {
			return nil, errs.New(errs.Locked, "write settings %s: another process is writing them; try again when it is done: %w", path, err)
		}
		time.Sleep(settingsPause)
	}
}

// writeSettings puts a file with the settings in the place of path, durably, or leaves path as it was.
func writeSettings(path string, m map[string]string) error {
	b, err := json.MarshalIndent(m, "", "  ") // a map's keys come out sorted
	if err != nil {
		return err
	}
	return vfs.WriteFile(vfs.OS{}, path, append(b, '\n'))
}

// settingsError gives an error of the operating system its class and object; one that has a class stays.
func settingsError(verb, path string, err error) error {
	c := errs.CodeOf(err)
	if errors.Is(err, fs.ErrPermission) {
		c = errs.Denied
	}
	return errs.New(c, "%s settings %s: %w", verb, path, err)
}
