package sync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// garbageName is the object that says which objects collections of garbage have found unnamed, and which they have removed.
const garbageName = "garbage"

// garbage is the content of that object. An object is in one of the maps at most.
type garbage struct {
	unnamed map[string]time.Time // since when, by name: what is there and was named by no ref
	removed map[string]time.Time // since when, by name: what is gone, or goes at any moment
	// snapshots tells whether there may be snapshots, which need what they name, too. It stays once it is set.
	snapshots bool
}

// The first lines of the object. Programs that do not know of removed refs in it cannot read the second, those that do not know of snapshots not the third.
const (
	garbageWords          = "stemma garbage 1"
	refsGarbageWords      = "stemma garbage 2"
	snapshotsGarbageWords = "stemma garbage 3"
)

// encode is the content of the object. Its nonce makes it differ from all that it was before.
func (g garbage) encode() []byte {
	var b bytes.Buffer
	words := garbageWords
	for name := range g.unnamed {
		if strings.HasPrefix(name, refsDir) {
			words = refsGarbageWords
		}
	}
	if g.snapshots {
		words = snapshotsGarbageWords
	}
	fmt.Fprintln(&b, words)
	for _, part := range g.parts() {
		for _, name := range slices.Sorted(maps.Keys(part.of)) {
			fmt.Fprintf(&b, "%s %s %s\n", part.word, part.of[name].UTC().Format(time.RFC3339), name)
		}
	}
	fmt.Fprintf(&b, "nonce %s\n", nonce())
	return b.Bytes()
}

// garbagePart is a map of garbage and the word for it.
type garbagePart struct {
	word string
	of   map[string]time.Time
}

func (g garbage) parts() []garbagePart {
	return []garbagePart{{"unnamed", g.unnamed}, {"removed", g.removed}}
}

// decodeGarbage reads what encode gives.
func decodeGarbage(data []byte, url string) (garbage, error) {
	g := garbage{unnamed: map[string]time.Time{}, removed: map[string]time.Time{}}
	bad := func(why string) (garbage, error) {
		return garbage{}, errs.New(errs.Corrupt, "the object %s of the remote %s cannot be understood: %s", garbageName, url, why)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != garbageWords && sc.Text() != refsGarbageWords && sc.Text() != snapshotsGarbageWords {
		if strings.HasPrefix(sc.Text(), "stemma garbage ") {
			return garbage{}, errs.New(errs.TooNew, "the object %s of the remote %s was written by a newer stemma; use one", garbageName, url)
		}
		return bad("it does not begin as it should")
	}
	g.snapshots = sc.Text() == snapshotsGarbageWords
	ended, refs := false, g.snapshots || sc.Text() == refsGarbageWords
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if ended {
			return bad("it goes on behind its end")
		}
		if len(f) == 2 && f[0] == "nonce" {
			ended = true
			continue
		}
		if len(f) != 3 {
			return bad("a line is none of its lines")
		}
		at, err := time.Parse(time.RFC3339, f[1])
		if err != nil {
			return bad("a time is none")
		}
		if !collectable(f[2]) && !(refs && f[0] == "unnamed" && notesRef(f[2])) {
			return bad(fmt.Sprintf("it names %q", f[2]))
		}
		if _, twice := g.unnamed[f[2]]; twice {
			return bad("it names an object twice")
		}
		if _, twice := g.removed[f[2]]; twice {
			return bad("it names an object twice")
		}
		switch f[0] {
		case "unnamed":
			g.unnamed[f[2]] = at
		case "removed":
			g.removed[f[2]] = at
		default:
			return bad(fmt.Sprintf("it has the unknown word %q", f[0]))
		}
	}
	if sc.Err() != nil || !ended {
		return bad("it is cut short")
	}
	return g, nil
}

// collectable tells whether an object of that name may be garbage: a pack, a list or an outcome.
func collectable(name string) bool {
	if object.CheckName(name) != nil {
		return false
	}
	for _, dir := range []string{packsDir, listsDir, changesDir} {
		if rest, ok := strings.CutPrefix(name, dir); ok {
			return !strings.Contains(rest, "/")
		}
	}
	return false
}

// notesRef tells whether that is how a note calls a removed ref.
func notesRef(name string) bool {
	object, nonce, _ := strings.Cut(name, "@")
	_, err := refNamed(object)
	return err == nil && nonce != ""
}

// garbage reads the object; where there is none it is empty, of no generation.
func (r *Remote) garbage(ctx context.Context) (garbage, object.Generation, error) {
	data, gen, err := r.s.Get(ctx, garbageName)
	if errs.Is(err, errs.NotFound) {
		return garbage{unnamed: map[string]time.Time{}, removed: map[string]time.Time{}}, "", nil
	}
	if err != nil {
		return garbage{}, "", err
	}
	g, err := decodeGarbage(data, r.URL())
	return g, gen, err
}

// removedError is that for objects that were counted on and that a collection removes.
type removedError struct{ names []string }

// Error implements error.
func (e removedError) Error() string {
	return fmt.Sprintf("%d of the objects that were to be named, such as %s, are removed by a collection of garbage", len(e.names), e.names[0])
}

// claimTries is how often a claim is made anew because others change the object meanwhile.
const claimTries = 100

// claim makes sure, before a ref names these objects, that no collection of garbage removes them (R6): what one has noted is taken off its
// notes, which only succeeds before it goes. What goes already is a removedError.
func (r *Remote) claim(ctx context.Context, names []string) error {
	for range claimTries {
		g, gen, err := r.garbage(ctx)
		if err != nil {
			return err
		}
		var gone []string
		noted := false
		for _, n := range names {
			if _, ok := g.removed[n]; ok {
				gone = append(gone, n)
			}
			if _, ok := g.unnamed[n]; ok {
				noted = true
				delete(g.unnamed, n)
			}
		}
		if len(gone) > 0 {
			return removedError{gone}
		}
		if !noted {
			return nil
		}
		if err = r.s.Put(ctx, garbageName, object.Bytes(g.encode()), object.If(gen)); !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Unavailable, "others change the object %s of %s all the time; try again", garbageName, r.URL())
}

// How a push counts on what is at the remote.
const (
	// claimEvery is after what time a push that goes on sending claims what it has sent.
	claimEvery = time.Hour
	// claimSure is the age from which on what a push counts on may be gone from the notes of collections as well, so that it looks itself. It is
	// half of removedKept.
	claimSure = removedKept / 2
	// removedKept is how long it is remembered, at least, what was removed.
	removedKept = 24 * time.Hour
)

// pledge is what one push counts on.
type pledge struct {
	r     *Remote
	now   func() time.Time
	begun time.Time
	last  time.Time
}

func (r *Remote) pledge(now func() time.Time) *pledge {
	if now == nil {
		now = clock.System{}.Now
	}
	at := now()
	return &pledge{r: r, now: now, begun: at, last: at}
}

// due tells whether it is time to claim what was sent so far.
func (p *pledge) due() bool { return p.now().Sub(p.last) > claimEvery }

// claim claims packs and, unless it is "", the object of a list.
func (p *pledge) claim(ctx context.Context, packs []Pack, list string) error {
	names := make([]string, 0, len(packs)+1)
	for _, x := range packs {
		names = append(names, x.object())
	}
	if list != "" {
		names = append(names, list)
	}
	if err := p.r.claim(ctx, names); err != nil {
		return err
	}
	p.last = p.now()
	if p.last.Sub(p.begun) <= claimSure {
		return nil
	}
	var gone []string
	for _, n := range names {
		_, err := p.r.s.Stat(ctx, n)
		if errs.Is(err, errs.NotFound) {
			gone = append(gone, n)
		} else if err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		return removedError{gone}
	}
	return nil
}

// removedOf is the objects of a removedError.
func removedOf(err error) []string {
	var e removedError
	if errors.As(err, &e) {
		return e.names
	}
	return nil
}
