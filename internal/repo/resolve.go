package repo

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// Resolve finds the commit that a revision means, for a session on the branch head: HEAD (or @), a branch, a tag, a branch of a remote as
// it was fetched last (origin/main), a hash or a
// prefix of it of at least hash.MinPrefixLen characters, or a time; then any of ~n and ^n. Of a name that could be several, the
// first in this order wins. A time is UTC unless it says otherwise, and means the last first-parent commit of head at or before it.
func (r *Repo) Resolve(ctx context.Context, rev, head string) (history.CommitID, error) {
	var none history.CommitID
	base, steps := splitRevision(rev)
	if base == "" && steps != "" {
		return none, errs.New(errs.Invalid, "invalid revision '%s': name a commit before '%s'", rev, steps)
	}
	id, err := r.resolveBase(ctx, base, head)
	if err != nil {
		return none, err
	}
	for steps != "" {
		op := steps[0]
		steps = steps[1:]
		n, digits := 1, 0
		for digits < len(steps) && steps[digits] >= '0' && steps[digits] <= '9' {
			digits++
		}
		if digits > 0 {
			if n, err = strconv.Atoi(steps[:digits]); err != nil {
				return none, errs.New(errs.Invalid, "invalid revision '%s': the number is too large", rev)
			}
			steps = steps[digits:]
		}
		if id, err = r.step(ctx, id, op, n, rev); err != nil {
			return none, err
		}
	}
	return id, nil
}

// splitRevision cuts the ancestor steps off the end of a revision.
func splitRevision(rev string) (base, steps string) {
	i := strings.IndexAny(rev, "~^")
	if i < 0 {
		return rev, ""
	}
	return rev[:i], rev[i:]
}

// step goes from a commit to its n-th first-parent ancestor ('~') or to its n-th parent ('^').
func (r *Repo) step(ctx context.Context, id history.CommitID, op byte, n int, rev string) (history.CommitID, error) {
	if op != '~' && op != '^' {
		return id, errs.New(errs.Invalid, "invalid revision '%s': only ~ and ^ may follow a commit", rev)
	}
	if op == '^' {
		if n == 0 {
			return id, nil
		}
		c, err := history.GetCommit(ctx, r.store, id)
		if err != nil {
			return id, err
		}
		if n > len(c.Parents) {
			return id, errs.New(errs.NotFound, "invalid ancestor spec '%s': commit %s has %d parents", rev, id, len(c.Parents))
		}
		return c.Parents[n-1], nil
	}
	for ; n > 0; n-- {
		c, err := history.GetCommit(ctx, r.store, id)
		if err != nil {
			return id, err
		}
		if len(c.Parents) == 0 {
			return id, errs.New(errs.NotFound, "invalid ancestor spec '%s': the history is shorter", rev)
		}
		id = c.Parents[0]
	}
	return id, nil
}

func (r *Repo) resolveBase(ctx context.Context, base, head string) (history.CommitID, error) {
	s := r.published.Load()
	if base == "" {
		return history.CommitID{}, errs.New(errs.Invalid, "an empty string names no commit")
	}
	if strings.EqualFold(base, "HEAD") || base == "@" {
		b, ok := s.branches.Get(head)
		if !ok {
			return history.CommitID{}, r.errNoRef(head)
		}
		return b.head, nil
	}
	name := strings.TrimPrefix(base, "refs/heads/")
	if b, ok := s.branches.Get(name); ok {
		return b.head, nil
	}
	if h, ok := s.tags.Get(strings.TrimPrefix(base, "refs/tags/")); ok {
		t, err := history.GetTag(ctx, r.store, h)
		if err != nil {
			return history.CommitID{}, err
		}
		return t.Commit, nil
	}
	if id, ok := s.track(base); ok {
		return id, nil
	}
	if base == "master" {
		// Users of older tools call the default branch so.
		if b, ok := s.branches.Get(DefaultBranch); ok {
			return b.head, nil
		}
	}
	if hash.IsPrefix(base) {
		id, ok, err := r.commitByPrefix(ctx, base)
		if err != nil || ok {
			return id, err
		}
	}
	if t, ok := parseTime(base); ok {
		return r.commitAt(ctx, head, t, base)
	}
	if err := r.errTooShort(ctx, base); err != nil {
		return history.CommitID{}, err
	}
	if err := r.errThinned(base); err != nil {
		return history.CommitID{}, err
	}
	return history.CommitID{}, r.errNoRef(base)
}

// commitByPrefix finds the commit whose hash begins so among those that refs reach.
func (r *Repo) commitByPrefix(ctx context.Context, prefix string) (found history.CommitID, ok bool, err error) {
	if len(prefix) == hash.FullLen {
		h, err := hash.Parse(prefix)
		if err != nil {
			return found, false, nil
		}
		if _, err := history.GetCommit(ctx, r.store, h); err != nil {
			if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Corrupt) {
				return found, false, nil
			}
			return found, false, err
		}
		r.holds.leave(departure{commit: h}) // it may be named by nothing else
		return h, true, nil
	}
	all, err := r.commitsBeginning(ctx, prefix)
	switch {
	case err != nil || len(all) == 0:
		return found, false, err
	case len(all) > 1:
		return found, false, errs.New(errs.Invalid, "'%s' is ambiguous: it begins the hashes of the commits %s; give more characters", prefix, listed(all))
	}
	r.holds.leave(departure{commit: all[0]}) // it may be named by nothing else
	return all[0], true, nil
}

// commitsBeginning are the commits whose hashes begin so, in the order of their hashes.
func (r *Repo) commitsBeginning(ctx context.Context, prefix string) ([]history.CommitID, error) {
	hs, err := r.store.FindPrefix(ctx, prefix)
	if err != nil {
		return nil, err
	}
	if len(hs) == 0 {
		if hs, err = r.store.FindElsewhere(ctx, prefix, chunk.KindCommit); err != nil {
			return nil, err
		}
	}
	var out []history.CommitID
	for _, h := range hs {
		switch _, err := history.GetCommit(ctx, r.store, h); {
		case err == nil:
			out = append(out, h)
		case !errs.Is(err, errs.Corrupt): // a chunk of another kind is
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b history.CommitID) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

// listed is the hashes of commits with commas between, at most four.
func listed(ids []history.CommitID) string {
	const most = 4
	var words []string
	for i, id := range ids {
		if i == most {
			words = append(words, "…")
			break
		}
		words = append(words, id.String())
	}
	return strings.Join(words, ", ")
}

// leastAbbreviation is how many characters at least the beginning of a hash has that users may have meant as one.
const leastAbbreviation = 4

// errTooShort is the error for what is no ref but begins the hashes of commits, with too few characters to name one; nil for anything else.
func (r *Repo) errTooShort(ctx context.Context, name string) error {
	if len(name) < leastAbbreviation || len(name) >= hash.MinPrefixLen || !hash.IsBeginning(name) {
		return nil
	}
	all, err := r.commitsBeginning(ctx, name)
	switch {
	case err != nil || len(all) == 0:
		return nil // the ref is not there, which is the answer to what was asked
	case len(all) == 1:
		return errs.New(errs.NotFound, "branch or ref not found: %s; to name the commit %s give at least %d characters of its hash", name, all[0], hash.MinPrefixLen)
	}
	return errs.New(errs.NotFound, "branch or ref not found: %s; to name one of the commits %s give at least %d characters of its hash", name, listed(all), hash.MinPrefixLen)
}

// commitAt is the last first-parent commit of the branch at or before t.
func (r *Repo) commitAt(ctx context.Context, head string, t time.Time, text string) (history.CommitID, error) {
	b, ok := r.published.Load().branches.Get(head)
	if !ok {
		return history.CommitID{}, r.errNoRef(head)
	}
	return r.CommitAtTime(ctx, b.head, t, text)
}

// CommitAtTime is the last commit at or before t among id and its first-parent ancestors; text is how the user wrote the time.
func (r *Repo) CommitAtTime(ctx context.Context, id history.CommitID, t time.Time, text string) (history.CommitID, error) {
	for {
		c, err := history.GetCommit(ctx, r.store, id)
		if err != nil {
			return id, err
		}
		if !c.Committer.Time.After(t) {
			return id, nil
		}
		if len(c.Parents) == 0 {
			return id, errs.New(errs.NotFound, "no commit at or before %s: the first one is of %s", text, c.Committer.Time.UTC().Format("2006-01-02 15:04:05"))
		}
		id = c.Parents[0]
	}
}

// parseTime reads a time as people write it; without a zone it is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04", "2006-01-02T15.04.05.999Z",
	} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
