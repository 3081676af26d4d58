package repo

import (
	"context"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/sync"
)

// Following says that a database is the replica of a remote, and how that goes. Its branches and tags are changed by Follow alone.
type Following struct {
	Remote, URL string
	Tried       time.Time // when the remote was last asked; zero for not yet
	Fetched     time.Time // when it last answered, and the branches became what they were there; zero for not yet
	Err         string    // why it does not go on; "" when it does
}

// SetFollowing makes the database a replica, or notes how that goes.
func (r *Repo) SetFollowing(f Following) { r.following.Store(&f) }

// Following is what the database follows; ok is false for one that is nobody's replica.
func (r *Repo) Following() (f Following, ok bool) {
	if p := r.following.Load(); p != nil {
		return *p, true
	}
	return f, false
}

// replicating is the key in a context of what a replica may do all the same.
type replicating struct{}

// asReplica is for what changes nothing that users see, or what makes a replica be like its remote.
func asReplica(ctx context.Context) context.Context {
	return context.WithValue(ctx, replicating{}, true)
}

// mayChange reports that the database is a replica, whose branch users do not change. The runs of those who read are noted all the same.
func (r *Repo) mayChange(ctx context.Context, branch string) error {
	f, ok := r.Following()
	if !ok || branch == lineageRef || ctx.Value(replicating{}) != nil {
		return nil
	}
	return errs.New(errs.ReadOnly, "database %s is a replica of the remote '%s' (%s) and is read-only: change it there", r.name, f.Remote, f.URL)
}

// mayAppend is mayChange for a change of whatever kind.
func (r *Repo) mayAppend(ctx context.Context, c *change) error {
	other := len(c.tags)+len(c.stashes)+len(c.writes)+len(c.rows) > 0 || c.head != ""
	for _, x := range c.refs {
		other = other || x.name != lineageRef
	}
	for _, x := range c.work {
		other = other || x.branch != lineageRef
	}
	if !other {
		return nil
	}
	return r.mayChange(ctx, "")
}

// Follow makes branches and tags of a replica what they are at its remote, all or none: see Receive. What they name is here.
func (r *Repo) Follow(ctx context.Context, moves []sync.Move) (err error) {
	batch := r.store.NewBatch()
	defer func() {
		if e := batch.Close(); err == nil {
			err = e
		}
	}()
	return r.FollowWith(ctx, batch, moves)
}

// FollowWith is Follow with chunks that come with what names them.
func (r *Repo) FollowWith(ctx context.Context, batch *pack.Batch, moves []sync.Move) error {
	return r.Receive(asReplica(ctx), batch, moves)
}
