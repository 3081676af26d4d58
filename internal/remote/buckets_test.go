package remote_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object/az/aztest"
	"github.com/stemmadb/stemma/internal/object/buckettest"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

func openURL(t tb, url string) *sync.Remote {
	t.Helper()
	r, err := remote.Open(ctx, url, remote.Options{FS: vfs.NewMem(), Dir: "/"})
	must(t, err)
	return r
}

// TestBuckets pushes to a remote in a bucket, clones it, and fetches what comes later.
func TestBuckets(t *testing.T) {
	for _, bucket := range buckettest.Kinds {
		kind := bucket.Scheme
		t.Run(kind, func(t *testing.T) {
			srv := bucket.Start(t, "data")
			url := kind + "://data/team/prices"
			rng := rand.New(rand.NewPCG(1, 2))
			m := newMachine(t, "ada")
			for range 5 {
				m.work(t, "main", rng)
			}
			push := func() {
				t.Helper()
				out, err := m.push(openURL(t, url), false, false, "main")
				must(t, err)
				if out[0].Status.Refused() {
					t.Fatalf("refused: %d", out[0].Status)
				}
			}
			push()
			fs := vfs.NewMem()
			r := openURL(t, url)
			refs, err := r.Refs(ctx)
			must(t, err)
			must(t, clone(r, fs, refs))
			c := open(t, fs, "clone")
			m.work(t, "main", rng)
			srv.Reset()
			push()
			if list, _ := srv.Requests(); len(list) > 10 {
				t.Errorf("a push of one commit takes %d requests:\n%s", len(list), strings.Join(list, "\n"))
			}
			must(t, c.fetch(openURL(t, url)))
			c.sound(t)
			want, _ := m.BranchHead("main")
			if got, _ := c.Track("origin/main"); got != want {
				t.Errorf("the clone has seen %s, want %s", got, want)
			}
		})
	}
}

// TestCollectBuckets collects the garbage of a remote in a bucket, beside which others are.
func TestCollectBuckets(t *testing.T) {
	for _, bucket := range buckettest.Kinds {
		kind := bucket.Scheme
		t.Run(kind, func(t *testing.T) {
			bucket.Start(t, "data")
			m, rng := newMachine(t, "ada"), rand.New(rand.NewPCG(1, 2))
			m.work(t, "main", rng)
			at, _ := m.BranchHead("main")
			must(t, m.CreateBranch(ctx, "fix", at, false))
			m.work(t, "fix", rng)
			first, other := kind+"://data/team/prices", kind+"://data/team/prices2"
			for _, url := range []string{first, other} {
				_, err := m.push(openURL(t, url), true, false, "main")
				must(t, err)
				_, err = m.push(openURL(t, url), true, false, "fix")
				must(t, err)
				out, err := m.run(openURL(t, url), sync.Want{Name: sync.Heads + "fix"})
				if err != nil || out[0].Status != sync.Removed {
					t.Fatalf("remove: %+v, %v", out, err)
				}
			}
			for _, c := range []struct {
				after            time.Duration
				waiting, removed int
			}{{0, 3, 0}, {time.Hour, 3, 0}, {day, 0, 3}, {day, 0, 0}} {
				got, err := (&sync.Collect{Remote: openURL(t, first), Now: noon.Add(c.after), Grace: day}).Run(ctx)
				must(t, err)
				if got.Used.Objects != 2 || got.Waiting.Objects != c.waiting || got.Removed.Objects != c.removed {
					t.Errorf("after %s: %+v", c.after, got)
				}
			}
			for url, want := range map[string]int{first: 2, other: 5} {
				r := openURL(t, url)
				got, err := (&sync.Collect{Remote: r, Now: noon, Grace: day, DryRun: true}).Run(ctx)
				must(t, err)
				if n := got.Used.Objects + got.Waiting.Objects; n != want {
					t.Errorf("%s has %d objects, want %d", url, n, want)
				}
				refs, err := r.Refs(ctx)
				must(t, err)
				fs := vfs.NewMem()
				must(t, clone(r, fs, refs))
				open(t, fs, "clone").sound(t)
			}
			if out, err := m.push(openURL(t, first), true, false, "fix"); err != nil || out[0].Status != sync.Created {
				t.Errorf("a push of what was collected: %+v, %v", out, err)
			}
		})
	}
}

// put makes an object in the bucket data of a server, as others do.
func put(t *testing.T, kind, server, name string) error {
	t.Helper()
	if kind == "az" {
		return aztest.Put(t.Context(), "data", name, "x")
	}
	r, err := http.NewRequest(http.MethodPut, server+"/data/"+name, strings.NewReader("x"))
	if kind == "gs" {
		r, err = http.NewRequest(http.MethodPost, server+"/upload/storage/v1/b/data/o?uploadType=media&name="+url.QueryEscape(name), strings.NewReader("x"))
	}
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("put %s: %s", name, answer.Status)
	}
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// TestBucketErrors opens what is no remote.
func TestBucketErrors(t *testing.T) {
	for _, bucket := range buckettest.Kinds {
		kind := bucket.Scheme
		t.Run(kind, func(t *testing.T) {
			srv := bucket.Start(t, "data")
			for _, c := range []struct{ url, mentioned string }{
				{"%s://", "names no bucket"}, {"%s:///path", "names no bucket"}, {"%s://data/a?b=c", "without ? and #"}, {"%s://data/a/../b", "'..'"},
				{"%s://data/a//b", "''"}, {"%s://ada:secret@data/a", "leave out what is before the @"}, {"%s://other/a", "there is no bucket 'other'"},
			} {
				class := errs.Invalid
				if c.url == "%s://other/a" {
					class = errs.NotFound
				}
				_, err := remote.Open(ctx, fmt.Sprintf(c.url, kind), remote.Options{FS: vfs.NewMem(), Dir: "/"})
				if !errs.Is(err, class) || !strings.Contains(err.Error(), c.mentioned) {
					t.Errorf("%s: %s: %v; want %q", c.url, errs.CodeOf(err), err, c.mentioned)
				}
			}
			// Something else is in the bucket.
			must(t, put(t, kind, srv.URL, "photos/Cat 1.jpg"))
			if _, err := remote.Open(ctx, kind+"://data", remote.Options{FS: vfs.NewMem(), Dir: "/"}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `"photos/Cat 1.jpg"`) {
				t.Errorf("%v", err)
			}
			// Where there are very many the first say enough.
			srv.Reset()
			for i := range 1010 {
				must(t, put(t, kind, srv.URL, fmt.Sprintf("photos/%d.jpg", i)))
			}
			srv.Reset()
			if _, err := remote.Open(ctx, kind+"://data", remote.Options{FS: vfs.NewMem(), Dir: "/"}); !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			// The last of three looks whether somebody has made a remote there meanwhile.
			if list, _ := srv.Requests(); len(list) > 3 {
				t.Errorf("it took %d requests:\n%s", len(list), strings.Join(list, "\n"))
			}
			// A place beside it is empty.
			openURL(t, kind+"://data/photo")
		})
	}
}
