package op

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// backupsSetting is the setting of the database that holds the URLs of backups: a JSON object, since their names have a case.
const backupsSetting = "backup.urls"

// Backups are the backups that the settings in the file name, ordered by name.
func Backups(settings string) ([]RemoteURL, error) { return namedURLs(settings, backupsSetting) }

// words refuses more or fewer arguments than a part of the verb takes.
func (c *Backup) words(names ...string) error {
	if len(c.Args) != len(names) {
		return errs.New(errs.Invalid, "backup %s: it takes %s", c.Path, strings.Join(names, " "))
	}
	return nil
}

func (c *Backup) list(_ context.Context, s *Scope) (*Result, error) {
	all, err := Backups(s.Settings.Local)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: remoteColumns, Lines: []string{}}
	for _, x := range all {
		r.Add(x.Name, x.URL)
		if c.Verbose {
			r.Printf("%s %s", x.Name, x.URL)
		} else {
			r.Printf("%s", x.Name)
		}
	}
	return r, nil
}

func (c *Backup) add(_ context.Context, s *Scope) (*Result, error) {
	if err := c.words("<name>", "<url>"); err != nil {
		return nil, err
	}
	name := c.Args[0]
	if !remoteName.MatchString(name) {
		return nil, errs.New(errs.Invalid, "'%s' is no name of a backup: it may consist of letters, digits and _ . - only", name)
	}
	url, err := s.remoteURL(c.Args[1])
	if err != nil {
		return nil, err
	}
	m, err := objectIn(s.Settings.Local, backupsSetting)
	if err != nil {
		return nil, err
	}
	if m[name] != "" {
		return nil, errs.New(errs.Exists, "a backup named '%s' already exists: it is %s", name, m[name])
	}
	for n, u := range m {
		if u == url {
			return nil, errs.New(errs.Exists, "the backup '%s' is at %s already", n, url)
		}
	}
	return statusResult(0), changeObject(s.Settings.Local, backupsSetting, func(m map[string]string) { m[name] = url })
}

func (c *Backup) remove(_ context.Context, s *Scope) (*Result, error) {
	if err := c.words("<name>"); err != nil {
		return nil, err
	}
	if _, err := c.url(s, c.Args[0]); err != nil {
		return nil, err
	}
	return statusResult(0), changeObject(s.Settings.Local, backupsSetting, func(m map[string]string) { delete(m, c.Args[0]) })
}

// url is the URL of the backup of that name.
func (c *Backup) url(s *Scope, name string) (string, error) {
	m, err := objectIn(s.Settings.Local, backupsSetting)
	switch {
	case err != nil:
		return "", err
	case m[name] != "":
		return m[name], nil
	case len(m) == 0:
		return "", errs.New(errs.NotFound, "unknown backup: '%s'; add it with 'backup add %s <url>'", name, name)
	}
	return "", offering(errs.NotFound, errs.Nearest(name, slices.Sorted(maps.Keys(m))), "unknown backup: '%s'", name)
}

// open opens the backup that a name or, when named is false, a URL means.
func (c *Backup) open(ctx context.Context, s *Scope, text string, named bool) (*sync.Remote, error) {
	url, err := "", error(nil)
	if named {
		url, err = c.url(s, text)
	} else {
		url, err = s.remoteURL(text)
	}
	if err != nil {
		return nil, err
	}
	opt := s.remoteOptions()
	opt.Mend = c.Path == "sync" || c.Path == "sync-url"
	return s.openURLWith(ctx, url, opt)
}

// sync makes a backup hold what the database holds.
func (c *Backup) sync(ctx context.Context, s *Scope) (*Result, error) {
	if err := c.words("<" + map[string]string{"sync": "name", "sync-url": "url"}[c.Path] + ">"); err != nil {
		return nil, err
	}
	r, err := c.open(ctx, s, c.Args[0], c.Path == "sync")
	if err != nil {
		return nil, err
	}
	hints := warnings(r)
	seen, err := r.See(ctx)
	if err != nil {
		return nil, err
	}
	refs := seen.Refs()
	wants := map[string]sync.Want{}
	for _, b := range s.Repo.Branches() {
		head, work, err := s.Repo.WorkCommit(ctx, b.Name)
		if errs.Is(err, errs.NotFound) {
			if _, there := s.Repo.BranchHead(b.Name); !there {
				continue // removed meanwhile
			}
		}
		if err != nil {
			return nil, err
		}
		wants[sync.Heads+b.Name] = sync.Want{Commit: head}
		if !work.IsZero() {
			wants[sync.Work+b.Name] = sync.Want{Commit: work}
		}
	}
	tags, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		wants[sync.Tags+t.Name] = sync.Want{Commit: t.Commit, Tag: t.Object}
	}
	at := s.now()
	for name := range refs {
		if _, there := wants[name]; !there && name != sync.Lineage {
			wants[name] = sync.Want{} // gone here
		}
	}
	if err := c.others(ctx, s, r, refs, wants); err != nil {
		return nil, err
	}
	var list []sync.Want
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		w, seen := wants[name], refs[name].Commit
		w.Name, w.Force, w.Lease = name, true, &seen // what comes meanwhile was not looked at
		list = append(list, w)
	}
	if err := noteBacked(s, r.URL(), wants, false); err != nil {
		return nil, err
	}
	p := &sync.Push{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Temp: s.Repo.TempDir(), Atomic: true, Anew: c.Anew, Seen: seen, Held: sync.HeldIn(s.Repo.FS(), s.Repo.Dir()), Progress: s.syncProgress()}
	if p.Lineage, err = lineageFor(ctx, s, r, seen, c.Anew, hints); err != nil {
		return nil, err
	}
	out, refs, err := p.Run(ctx, list)
	if err != nil {
		return nil, err
	}
	changed := 0
	for _, o := range out {
		switch {
		case o.Status == sync.Uncommitted:
			return nil, errs.New(errs.Conflict, "backup %s: somebody works on %s there, and has changes that are not committed. Back up to a place of your own", r.URL(), o.Name)
		case o.Status.Refused():
			return nil, errs.New(errs.Conflict, "backup %s: somebody else changes it at the same time (%s); sync again", r.URL(), o.Name)
		}
		if o.Status != sync.UpToDate {
			changed++
		}
	}
	if err := noteBacked(s, r.URL(), wants, true); err != nil {
		return nil, err
	}
	kept, err := remember(ctx, s, r, refs, changed > 0 || c.Anew, at)
	if err != nil {
		return nil, err
	}
	res := statusResult(0)
	res.Hints = *hints
	if c.Anew {
		list, err := snapshotsOf(ctx, r)
		if err != nil {
			return nil, err
		}
		gone, err := forgetLost(ctx, r, list)
		if err != nil {
			return nil, err
		}
		for _, x := range gone {
			res.Hints = append(res.Hints, "the sync of "+x.Time.Format(sync.SyncTime)+" is forgotten: what it needs was lost or damaged, and is not in what was sent")
		}
		if n := len(list) - len(gone) - 1; n > 0 {
			res.Hints = append(res.Hints, fmt.Sprintf("%s of before still %s what was there then; '%s backup forget' removes them", plural(uint64(n), "sync"), map[bool]string{true: "has", false: "have"}[n == 1], s.Program()))
		}
	}
	if res.Printf("Backed up %s to %s.", s.Repo.Name(), r.URL()); !kept {
		res.Lines = []string{"Nothing is new since the last backup to " + r.URL() + "."}
	}
	return res, nil
}

// others refuses to make a place a mirror of the database in which others keep what would be lost: where a ref that is to go or to be rewritten
// names a commit or tag that is not known here and that the database has not put there, or uncommitted changes that it has neither put there nor was
// restored with, or where the place is a remote of the database. --force does it all the same.
//
// Uncommitted changes that a backup holds of a branch are in the way of all who push to it or work on it there. So they do not go where the place is a
// remote of the database, but for --force, and never where the place is a database that is worked on there.
func (c *Backup) others(ctx context.Context, s *Scope, r *sync.Remote, refs map[string]sync.Ref, wants map[string]sync.Want) error {
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		if b, ok := strings.CutPrefix(name, sync.Work); ok && !wants[name].Commit.IsZero() && keeps(refs) {
			return errs.New(errs.Conflict, "backup %s: branch '%s' has uncommitted changes here, and the place is a database that is worked on where it is (--store): commit them first, or back up to a place of your own", r.URL(), b)
		}
	}
	if c.Force {
		return nil
	}
	shared, err := s.remoteAt(r.URL())
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		if b, ok := strings.CutPrefix(name, sync.Work); ok && shared != "" && !wants[name].Commit.IsZero() && refs[name].IsZero() {
			return errs.New(errs.Conflict, "backup %s: branch '%s' has uncommitted changes here, and the place is the remote '%s' of this database: nobody could push to the branch there while they are in it. Commit them first, back up to a place of your own, or say --force to make this one a mirror of the database", r.URL(), b, shared)
		}
	}
	own := backed(s)[r.URL()]
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		old, w := refs[name], wants[name]
		isWork := strings.HasPrefix(name, sync.Work)
		if name == sync.Lineage || old.Commit == w.Commit && old.Tag == w.Tag {
			continue
		}
		known := slices.Contains(own[name], backedText(old.Target))
		here, err := s.Repo.Store().Has(ctx, old.Commit)
		if err == nil && here && !old.Tag.IsZero() {
			here, err = s.Repo.Store().Has(ctx, old.Tag)
		}
		if err != nil {
			return err
		}
		if isWork { // a clone may have chunks of changes that are not its own
			here = false
		}
		if known = known || here; known && isWork {
			continue
		}
		if here && !w.Commit.IsZero() && strings.HasPrefix(name, sync.Heads) {
			if ok, err := history.IsAncestor(ctx, s.Repo.Store(), old.Commit, w.Commit); err != nil || ok {
				if err != nil {
					return err
				}
				continue
			}
		}
		what := "remove"
		if !w.Commit.IsZero() {
			what = "overwrite"
		}
		of := "commit " + old.Commit.String() + " is not known here"
		if strings.HasPrefix(name, sync.Tags) {
			of = "tag or its commit " + old.Commit.String() + " is not known here"
		} else if isWork {
			of = "uncommitted changes are not of this database"
		}
		switch {
		case !known:
			return errs.New(errs.Conflict, "backup %s: this would %s %s there, which others have pushed: its %s. Back up to a place of your own, or say --force to make this one a mirror of the database", r.URL(), what, name, of)
		case shared != "":
			return errs.New(errs.Conflict, "backup %s: this would %s %s there, and the place is the remote '%s' of this database, where others may work. Back up to a place of your own, or say --force to make this one a mirror of the database", r.URL(), what, name, shared)
		}
	}
	return nil
}

// keeps tells whether a place is worked on where it is, as far as one of its branches says.
func keeps(refs map[string]sync.Ref) bool {
	for _, x := range refs {
		if x.Kept() {
			return true
		}
	}
	return false
}

// verify reads all of a backup, and checks that it is whole.
func (c *Backup) verify(ctx context.Context, s *Scope) (res *Result, err error) {
	if err := c.words("<name>|<url>"); err != nil {
		return nil, err
	}
	m, err := objectIn(s.Settings.Local, backupsSetting)
	if err != nil {
		return nil, err
	}
	r, err := c.open(ctx, s, c.Args[0], m[c.Args[0]] != "" || remoteName.MatchString(c.Args[0]))
	if err != nil {
		return nil, err
	}
	hints := warnings(r)
	refs, err := r.Refs(ctx)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return nil, errs.New(errs.NotFound, "there is no backup at %s", r.URL())
	}
	list, err := snapshotsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	syncs, err := r.ReadSnapshots(ctx, list)
	if err != nil {
		return nil, err
	}
	if len(syncs) > 0 { // a fetch finds elsewhere what only a lost list says
		if err := r.Look(ctx, syncs); err != nil {
			return nil, err
		}
	}
	check, done, err := checkerOf(ctx, s, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	whole := slices.DeleteFunc(slices.Clone(syncs), func(x *sync.Snapshot) bool { return x.Broken != nil })
	all := slices.Collect(maps.Values(refs))
	for _, x := range whole {
		all = append(all, slices.Collect(maps.Values(x.Refs))...)
	}
	err = check(all)
	if errs.Is(err, errs.Corrupt) && len(whole) > 0 { // what the branches are now, and which syncs
		if err = check(slices.Collect(maps.Values(refs))); err == nil {
			err = breaks(check, whole)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("verify the backup: %w", err)
	}
	if bad := damagedOf(syncs); len(bad) > 0 {
		why, _, _ := strings.Cut(bad[0].Broken.Error(), "\nhint:")
		times := make([]string, len(bad))
		for i, x := range bad {
			times[i] = x.Time.Format(sync.SyncTime)
		}
		return nil, errs.New(errs.Corrupt, "verify the backup: what its branches and tags have now is whole, but %d of %s that it remembers cannot be restored, of %s: %s\nhint: 'backup forget --damaged' of it, or 'backup --anew sync', drops such syncs", len(bad), plural(uint64(len(syncs)), "sync"), strings.Join(times, ", "), why)
	}
	res = statusResult(0)
	res.Hints = *hints
	text := plural(uint64(len(refs)), "ref")
	if len(syncs) > 0 {
		text += " and " + plural(uint64(len(syncs)), "sync")
	}
	res.Printf("%s verified: no problems found", text)
	return res, nil
}

// checkerOf is what reads all that refs reach, each time anew; done ends it.
func checkerOf(ctx context.Context, s *Scope, r *sync.Remote) (check func(refs []sync.Ref) error, done func() error, err error) {
	fs, scratch, done, err := scratchOf(s)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	return func(refs []sync.Ref) (err error) {
		n++
		dir := filepath.Join(scratch, fmt.Sprintf("store%d", n))
		incoming := filepath.Join(dir, "incoming")
		if err := fs.MkdirAll(incoming); err != nil {
			return err
		}
		if err := pack.Create(ctx, fs, dir); err != nil {
			return err
		}
		st, err := pack.Open(ctx, fs, dir, pack.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, st.Close(ctx)) }()
		batch, err := (&sync.Fetch{Remote: r, Store: st, FS: fs, Incoming: incoming, Progress: s.syncProgress()}).Refs(ctx, distinct(refs), nil)
		if err != nil {
			return err
		}
		return batch.Close()
	}, done, nil
}

// breaks makes those of the snapshots Broken that check finds damaged.
func breaks(check func(refs []sync.Ref) error, all []*sync.Snapshot) error {
	for _, x := range all {
		if x.Broken != nil {
			continue
		}
		if err := check(slices.Collect(maps.Values(x.Refs))); errs.Is(err, errs.Corrupt) {
			x.Broken = err
		} else if err != nil {
			return err
		}
	}
	return nil
}

// damagedOf are those that are Broken.
func damagedOf(all []*sync.Snapshot) []*sync.Snapshot {
	return slices.DeleteFunc(slices.Clone(all), func(x *sync.Snapshot) bool { return x.Broken == nil })
}

// damagedSyncs reads all that snapshots need, and makes those Broken of which something is lost or damaged.
func damagedSyncs(ctx context.Context, s *Scope, r *sync.Remote, all []*sync.Snapshot) (err error) {
	if err := r.Look(ctx, all); err != nil {
		return err
	}
	check, done, err := checkerOf(ctx, s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var refs []sync.Ref
	for _, x := range all {
		if x.Broken == nil {
			refs = append(refs, slices.Collect(maps.Values(x.Refs))...)
		}
	}
	if err := check(refs); !errs.Is(err, errs.Corrupt) {
		return err
	}
	return breaks(check, all)
}

// scratchOf is a directory for files of the verb, in that of the database if there is one; done removes it.
func scratchOf(s *Scope) (fs vfs.FS, dir string, done func() error, err error) {
	if s.Repo != nil {
		dir, done, err = s.Repo.Scratch()
		return s.Repo.FS(), dir, done, err
	}
	if dir, err = os.MkdirTemp("", "stemma-"); err != nil {
		return nil, "", nil, errs.New(errs.Denied, "make a directory for temporary files: %w", err)
	}
	return vfs.OS{}, dir, func() error { return os.RemoveAll(dir) }, nil
}

// restoreIn restores for those who call the verb in a database, as dolt_backup does.
func (c *Backup) restoreIn(ctx context.Context, s *Scope) (*Result, error) {
	if err := c.words("<url>", "<directory>"); err != nil {
		return nil, err
	}
	return (&Restore{At: c.At, Force: c.Force, URL: c.Args[0], Dir: c.Args[1]}).Run(ctx, s)
}

// leftWork gives the uncommitted changes of a branch that others have moved or removed since they were put there, as programs do that know of no such
// changes, a branch of their own, at the commit after which they are.
func (c *Clone) leftWork(ctx context.Context, out *repo.Cloned) error {
	heads := map[string]history.CommitID{}
	for _, b := range out.Branches {
		heads[b.Name] = b.Head
	}
	for _, branch := range slices.Sorted(maps.Keys(out.Work)) {
		id := out.Work[branch]
		at := id
		for range 2 { // the working and the staged set
			cm, err := history.GetCommit(ctx, out.Batch, at)
			if err != nil {
				return err
			}
			if len(cm.Parents) != 1 {
				return errs.New(errs.Corrupt, "the uncommitted changes of branch '%s' in the backup are not after a commit", branch)
			}
			at = cm.Parents[0]
		}
		if heads[branch] == at {
			continue
		}
		name := branch + "-uncommitted"
		for n := 2; !heads[name].IsZero(); n++ {
			name = fmt.Sprintf("%s-uncommitted-%d", branch, n)
		}
		heads[name] = at
		out.Branches = append(out.Branches, repo.Branch{Name: name, Head: at})
		out.Work[name] = id
		delete(out.Work, branch)
		c.hints = append(c.hints, fmt.Sprintf("warning: branch '%s' was changed at the backup since its uncommitted changes were put there: they are on the branch '%s', after commit %s", branch, name, at))
	}
	return nil
}
