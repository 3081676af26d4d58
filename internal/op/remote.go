package op

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// remoteColumns are the columns of what remote answers.
var remoteColumns = []Column{Text("name"), Text("url")}

// remotesSetting is the setting of the database that holds the URLs of remotes: a JSON object, since their names have a case.
const remotesSetting = "remote.urls"

// defaultRemote is the remote that verbs mean when none is named and nothing else says which.
const defaultRemote = "origin"

// Remote is the verb that names the remotes of a database.
type Remote struct {
	Verbose bool     `flag:"verbose,v" help:"list URLs too"`
	Args    []string `arg:"rest" value:"argument" help:"add, remove, rename, get-url, set-url or prune, and what it takes"`
}

func remoteSpec() Spec {
	return Define[Remote](Spec{
		Name: "remote", Columns: remoteColumns, Group: GroupRemote, Needs: NeedDatabase, Admin: true,
		Short: "Name the places to which the database is pushed",
		Long: `A remote is a place that databases are pushed to and cloned from. Its URL is file:///path/to/directory, which need not exist; a path
that begins with / or ./ means the same. Buckets are s3://bucket/path, gs://bucket/path and az://container/path, with the credentials that the clouds' own
tools use; a database of a server is https://host:port/database.`,
		Usage: []string{"[-v]", "add <name> <url>", "remove <name>", "rename <old> <new>", "get-url <name>", "set-url <name> <url>", "prune <name>"},
		Examples: []Example{
			{"remote add origin file:///mnt/share/prices", "name a place"}, {"remote -v", "list the remotes"}, {"remote remove origin", "forget it again"},
			{"remote set-url origin s3://bucket/prices", "it has moved"}, {"remote prune origin", "forget its branches that are gone there"},
		},
	})
}

// Reads implements Reader: a list or a URL is asked for.
func (c *Remote) Reads() bool { return len(c.Args) == 0 || c.Args[0] == "get-url" }

// RemoteURL is a remote of a database.
type RemoteURL struct{ Name, URL string }

// Remotes are the remotes that the settings in the file name, ordered by name.
func Remotes(settings string) ([]RemoteURL, error) { return namedURLs(settings, remotesSetting) }

// namedURLs are the URLs that a setting in the file names, ordered by name.
func namedURLs(settings, setting string) ([]RemoteURL, error) {
	m, err := objectIn(settings, setting)
	if err != nil {
		return nil, err
	}
	var out []RemoteURL
	for _, n := range slices.Sorted(maps.Keys(m)) {
		out = append(out, RemoteURL{n, m[n]})
	}
	return out, nil
}

func remoteURLs(settings string) (map[string]string, error) {
	return objectIn(settings, remotesSetting)
}

// objectIn are the texts by name that a setting holds as a JSON object.
func objectIn(settings, setting string) (map[string]string, error) {
	m := map[string]string{}
	all, err := readSettings(settings)
	if err != nil || all[setting] == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(all[setting]), &m); err != nil {
		return nil, errs.New(errs.Invalid, "setting %s: want a JSON object of strings: %w", setting, err)
	}
	return m, nil
}

// changeRemotes changes the remotes that settings name.
func changeRemotes(settings string, change func(map[string]string)) error {
	return changeObject(settings, remotesSetting, change)
}

// changeObject changes the texts that a setting holds.
func changeObject(settings, setting string, change func(map[string]string)) error {
	if settings == "" {
		return errs.New(errs.Unsupported, "remotes, backups and rules of retention can only be kept in the settings of a database")
	}
	return changeObjects(settings, map[string]func(map[string]string){setting: change})
}

// changeObjects changes the texts that several settings hold, in one write.
func changeObjects(settings string, changes map[string]func(map[string]string)) error {
	var failed error
	err := changeSettings(settings, func(all map[string]string) {
		for setting, change := range changes {
			m := map[string]string{}
			if text := all[setting]; text != "" {
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					failed = errs.New(errs.Invalid, "setting %s: %w", setting, err)
					continue
				}
			}
			if change(m); len(m) == 0 {
				delete(all, setting)
			} else if b, err := json.Marshal(m); err != nil {
				failed = errs.New(errs.Invalid, "setting %s: %w", setting, err)
			} else {
				all[setting] = string(b)
			}
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// Run does it.
func (c *Remote) Run(ctx context.Context, s *Scope) (*Result, error) {
	m, err := remoteURLs(s.Settings.Local)
	if err != nil {
		return nil, err
	}
	if len(c.Args) == 0 {
		r := &Result{Columns: remoteColumns, Lines: []string{}}
		for _, n := range slices.Sorted(maps.Keys(m)) {
			r.Add(n, m[n])
			if c.Verbose {
				r.Printf("%s %s", n, m[n])
			} else {
				r.Printf("%s", n)
			}
		}
		return r, nil
	}
	part, ok := remoteParts[c.Args[0]]
	switch {
	case !ok:
		return nil, offering(errs.Invalid, errs.Nearest(c.Args[0], slices.Sorted(maps.Keys(remoteParts))), "remote: want 'add', 'remove', 'rename', 'get-url', 'set-url' or 'prune', not '%s'", c.Args[0])
	case len(c.Args) != part.args+1:
		return nil, errs.New(errs.Invalid, "remote %s: give %s", c.Args[0], part.wants)
	}
	if !part.reads {
		if err := s.notMirror(); err != nil {
			return nil, err
		}
	}
	return part.run(c, ctx, s, m, c.Args[1:])
}

// remotePart is a part of the verb; run is given the remotes that there are.
type remotePart struct {
	args  int
	reads bool // it changes nothing
	wants string
	run   func(c *Remote, ctx context.Context, s *Scope, m map[string]string, args []string) (*Result, error)
}

var remoteParts = map[string]remotePart{
	"add":     {args: 2, wants: "a name and a URL", run: (*Remote).add},
	"remove":  {args: 1, wants: "the name of one remote", run: (*Remote).remove},
	"rm":      {args: 1, wants: "the name of one remote", run: (*Remote).remove},
	"rename":  {args: 2, wants: "the name of a remote, and its new one", run: (*Remote).rename},
	"get-url": {args: 1, wants: "the name of one remote", run: (*Remote).getURL, reads: true},
	"set-url": {args: 2, wants: "the name of a remote, and its new URL", run: (*Remote).setURL},
	"prune":   {args: 1, wants: "the name of one remote", run: (*Remote).prune},
}

var remoteName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func errNoRemote(name string, m map[string]string) error {
	if len(m) == 0 {
		return errs.New(errs.NotFound, "unknown remote: '%s'; add it with 'remote add %s <url>'", name, name)
	}
	return offering(errs.NotFound, errs.Nearest(name, slices.Sorted(maps.Keys(m))), "unknown remote: '%s'", name)
}

// trackPrefix begins the upstream of a branch that follows a branch of a remote, in settings.
const trackPrefix = "refs/remotes/"

// remoteOptions say where remotes of the scope are.
func (s *Scope) remoteOptions() remote.Options {
	dir := s.base()
	if s.Files != "" {
		dir = s.Files
	}
	opt := remote.Options{FS: s.fs(), Dir: dir}
	if t, ok := s.Progress.(Teller); ok {
		opt.Told = t.Tell
	}
	return opt
}

// ownerName is the short form of a URL at a hub.
var ownerName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// hubSetting is the URL at which owner/name is found, with {owner} and {name} in it.
const hubSetting = "remotes.hub"

// remoteURL is the URL of what a user names a remote by: a URL, a path or, with the setting remotes.hub, owner/name.
func (s *Scope) remoteURL(text string) (string, error) {
	if ownerName.MatchString(text) {
		hub, ok, err := s.Settings.Get(hubSetting)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", errs.New(errs.Invalid, "'%s' is no URL of a remote: to mean one at a hub by it set 'config --global --set %s https://hub.example.org/{owner}/{name}'; for a directory write ./%s", text, hubSetting, text)
		}
		owner, name, _ := strings.Cut(text, "/")
		text = strings.NewReplacer("{owner}", owner, "{name}", name).Replace(hub)
	}
	url, err := remote.Normalize(text, s.remoteOptions())
	if err != nil {
		return "", err
	}
	return url, s.mayName(url)
}

// mayName refuses the URL of a directory that a client of a server may not name.
func (s *Scope) mayName(url string) error {
	path, ok := strings.CutPrefix(url, "file://")
	if s.Files == "" || !ok {
		return nil
	}
	fs := s.FS
	if fs == nil {
		fs = vfs.OS{}
	}
	if err := vfs.Inside(fs, s.Files, filepath.FromSlash(path)); err != nil {
		return fmt.Errorf("%s: %w (@@secure_file_priv): name a directory in it, or use the command line on the server's machine, which works beside the server", url, err)
	}
	return nil
}

// openURL opens the remote at a URL.
func (s *Scope) openURL(ctx context.Context, url string) (*sync.Remote, error) {
	return s.openURLWith(ctx, url, s.remoteOptions())
}

func (s *Scope) openURLWith(ctx context.Context, url string, opt remote.Options) (*sync.Remote, error) {
	if err := s.mayName(url); err != nil {
		return nil, err
	}
	return remote.Open(ctx, url, opt)
}

// openRemote opens a remote by its name among those of the database, or by what else remoteURL takes. name is "" then.
func (s *Scope) openRemote(ctx context.Context, text string) (r *sync.Remote, name string, err error) {
	return s.openRemoteWith(ctx, text, s.remoteOptions())
}

// openRemoteToPush is openRemote for who writes there, and so mends a remote that does not say any more what it is.
func (s *Scope) openRemoteToPush(ctx context.Context, text string) (r *sync.Remote, name string, err error) {
	opt := s.remoteOptions()
	opt.Mend = true
	return s.openRemoteWith(ctx, text, opt)
}

func (s *Scope) openRemoteWith(ctx context.Context, text string, opt remote.Options) (r *sync.Remote, name string, err error) {
	url, name, err := s.findRemote(text)
	if err != nil {
		return nil, "", err
	}
	r, err = s.openURLWith(ctx, url, opt)
	return r, name, err
}

// findRemote is the URL of a remote: see openRemote.
func (s *Scope) findRemote(text string) (url, name string, err error) {
	m, err := remoteURLs(s.Settings.Local)
	switch {
	case err != nil:
		return "", "", err
	case m[text] != "":
		return m[text], text, nil
	case remoteName.MatchString(text):
		return "", "", errNoRemote(text, m)
	}
	url, err = s.remoteURL(text)
	return url, "", err
}

// made refuses a place that is no remote, to those who read it.
func made(r *sync.Remote) error {
	if r.Made() {
		return nil
	}
	return errs.New(errs.NotFound, "'%s' does not appear to be a remote: nothing was ever pushed there; see whether that is the place", r.URL())
}

// remoteAt is the first remote of the database that has that URL, "" for none.
func (s *Scope) remoteAt(url string) (string, error) {
	m, err := remoteURLs(s.Settings.Local)
	if err != nil {
		return "", err
	}
	for _, n := range slices.Sorted(maps.Keys(m)) {
		if m[n] == url {
			return n, nil
		}
	}
	return "", nil
}

// warnings collects what a remote passes over, for Hints. They quote what they name.
func warnings(r *sync.Remote) *[]string {
	var out []string
	r.Warn = func(text string) {
		if text = "warning: " + text; !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return &out
}

// progress is the scope's progress as package sync wants it.
func (s *Scope) syncProgress() sync.Progress {
	return func(title string, total int64, unit string) (func(int64), func(error)) {
		t := s.Start(title, total, unit)
		return t.Add, t.Done
	}
}

// remoteOf is the remote that a branch follows, or the one that is meant when it follows none, and the branch there, "" for none.
func (s *Scope) remoteOf(branch string) (name, theirs string, err error) {
	up, err := upstreams(s)
	if err != nil {
		return "", "", err
	}
	if rest, ok := strings.CutPrefix(up[branch], trackPrefix); ok {
		name, theirs, _ = strings.Cut(rest, "/")
		return name, theirs, nil
	}
	m, err := remoteURLs(s.Settings.Local)
	if err != nil {
		return "", "", err
	}
	if len(m) == 1 {
		for n := range m {
			return n, "", nil
		}
	}
	return defaultRemote, "", nil
}

// LsRemote is the verb that lists the refs of a remote.
type LsRemote struct {
	Heads  bool   `flag:"heads" alias:"branches" help:"branches only"`
	Tags   bool   `flag:"tags,t" help:"tags only"`
	Remote string `arg:"1" value:"remote" complete:"remote" help:"the name of a remote or a URL; otherwise the remote that the branch follows, or origin"`
}

// lsRemoteColumns are the columns of what ls-remote answers.
var lsRemoteColumns = []Column{Text("hash"), Text("ref")}

func lsRemoteSpec() Spec {
	return Define[LsRemote](Spec{
		Name: "ls-remote", Columns: lsRemoteColumns, Group: GroupRemote, Needs: NeedDatabase, ReadOnly: true, Admin: true,
		Short: "List the branches and tags of a remote",
		Usage: []string{"[--heads] [--tags] [<remote>|<url>]"}, Examples: []Example{{"ls-remote file:///mnt/share/prices", "what is there, without a database here"}},
	})
}

// Anywhere implements Anywhere: a URL needs no database, and of one here only the settings are read.
func (c *LsRemote) Anywhere() bool { return true }

// Run lists.
func (c *LsRemote) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Remote == "" {
		m, err := remoteURLs(s.Settings.Local)
		if err != nil {
			return nil, err
		}
		c.Remote = defaultRemote
		if m[defaultRemote] == "" && len(m) == 1 {
			for n := range m {
				c.Remote = n
			}
		}
	}
	r, _, err := s.openRemote(ctx, c.Remote)
	if err != nil {
		return nil, err
	}
	if err := made(r); err != nil {
		return nil, err
	}
	hints := warnings(r)
	refs, err := r.Refs(ctx)
	if err != nil {
		return nil, err
	}
	out := &Result{Columns: lsRemoteColumns, Lines: []string{}, Hints: *hints}
	for _, n := range slices.Sorted(maps.Keys(refs)) {
		if (c.Heads || c.Tags) && !(c.Heads && strings.HasPrefix(n, sync.Heads) || c.Tags && strings.HasPrefix(n, sync.Tags)) {
			continue
		}
		out.Add(refs[n].Commit.String(), "refs/"+n)
		out.Printf("%s\trefs/%s", refs[n].Commit, n)
	}
	return out, nil
}
