package cli

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// followEvery is how often a remote that is followed is asked, unless told otherwise, and followLeast how often at most.
const (
	followEvery = 10 * time.Second
	followLeast = 100 * time.Millisecond
)

// following says which databases of a server are replicas.
type following struct {
	remote    string // the name of the remote that they follow; "" for none
	every     time.Duration
	databases []string // nil: all
}

// parseFollow reads what the flag says: a remote, and behind = how often it is asked.
func parseFollow(text string) (f following, err error) {
	name, every, timed := strings.Cut(text, "=")
	f = following{remote: name, every: followEvery}
	if timed {
		if f.every, err = time.ParseDuration(every); err != nil {
			return f, errs.New(errs.Invalid, "--follow %s: want the name of a remote, and how often it is asked, such as origin=30s", text)
		}
	}
	return f, f.check()
}

func (f following) check() error {
	if f.remote != "" && (strings.ContainsAny(f.remote, "/:") || f.every < followLeast) {
		return errs.New(errs.Invalid, "follow %s every %s: want the name of a remote of the databases, which 'remote add' gives, and an interval of %s at least", f.remote, f.every, followLeast)
	}
	if f.remote == "" && len(f.databases) > 0 {
		return errs.New(errs.Invalid, "follow: databases are named, and no remote")
	}
	return nil
}

// mark makes a database a replica that is one, so that nobody changes it before it follows.
func (f following) mark(r *repo.Repo) {
	same := func(name string) bool { return strings.EqualFold(name, r.Name()) }
	if _, is := r.Following(); f.remote != "" && !is && (f.databases == nil || slices.ContainsFunc(f.databases, same)) {
		r.SetFollowing(repo.Following{Remote: f.remote})
	}
}

// followers are those of a process.
type followers struct {
	stop context.CancelFunc
	done sync.WaitGroup
}

// end ends following, and returns when nothing of it runs any more.
func (f *followers) end() {
	if f.stop != nil {
		f.stop()
	}
	f.done.Wait()
}

// follow makes databases that the engine has replicas. The caller holds h.mu, and lets nobody in before.
func (h *holding) follow(ctx context.Context) error {
	f := h.listening.follow
	if f.remote == "" {
		return nil
	}
	ctx, h.followers.stop = context.WithCancel(context.WithoutCancel(ctx))
	names := f.databases
	if names == nil {
		names = slices.Clone(h.engine.Provider().Names())
	}
	var all []*op.Follower
	for _, name := range names {
		scope, err := h.scopeOf(name)
		if err != nil {
			return err
		}
		one := &op.Follower{Scope: scope, Remote: f.remote, Every: f.every}
		if log := h.sql.Log; log != nil {
			one.Tell = func(err error) {
				if err != nil {
					log.Warn("A replica cannot follow its remote, and tries again.", "database", name, "remote", f.remote, "error", err)
				} else {
					log.Info("A replica follows its remote.", "database", name, "remote", f.remote)
				}
			}
			one.Warn = func(text string) { log.Warn(text, "database", name, "remote", f.remote) }
		}
		if err := one.Begin(); err != nil {
			return err
		}
		all = append(all, one)
	}
	for _, one := range all {
		h.followers.done.Go(func() { one.Run(ctx) })
	}
	return nil
}
