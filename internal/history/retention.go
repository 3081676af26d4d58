package history

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// Retention says which commits of a branch stay when its history is thinned. A commit that any of its clauses keeps stays. Times are those of
// the committer, days and the like those of UTC.
type Retention struct {
	clauses []retentionClause
}

// retentionClause keeps commits of one kind as long as they are no older than age.
type retentionClause struct {
	kind    string
	age     time.Duration
	forever bool
	text    string // of the age, as it was given
}

// The kinds of clauses that are no period of time.
const (
	retainAll  = "all"  // every commit
	retainTags = "tags" // commits that a tag names, which stay forever when no clause says otherwise
)

// retainPeriods are the kinds that keep the last commit of each period on the branch's own line, and what tells one period from another.
var retainPeriods = map[string]func(t time.Time) string{
	"hourly": func(t time.Time) string { return t.Format("2006-01-02 15h") },
	"daily":  func(t time.Time) string { return t.Format("2006-01-02") },
	"weekly": func(t time.Time) string {
		y, w := t.ISOWeek()
		return fmt.Sprintf("week %d of %d", w, y)
	},
	"monthly": func(t time.Time) string { return t.Format("2006-01") },
	"yearly":  func(t time.Time) string { return t.Format("2006") },
}

// retentionKinds are all kinds, in the order in which rules are written.
var retentionKinds = []string{retainAll, "hourly", "daily", "weekly", "monthly", "yearly", retainTags}

// retentionExample ends what is said of rules that cannot be read.
const retentionExample = `write rules like "all 7d, daily 90d, weekly 1y, tags forever"`

// ParseRetention reads rules: clauses with commas between, each a kind (all, hourly, daily, weekly, monthly, yearly, tags) and an age (a whole
// number of hours, days, weeks or years: 12h, 7d, 6w, 1y; or forever). Errors are of class Invalid and say which clause is wrong.
func ParseRetention(text string) (Retention, error) {
	var r Retention
	bad := func(format string, args ...any) (Retention, error) {
		return Retention{}, errs.New(errs.Invalid, "retention rules: %s; %s", fmt.Sprintf(format, args...), retentionExample)
	}
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(strings.ToLower(part))
		switch {
		case len(words) == 0 && strings.TrimSpace(text) == "":
			return bad("there is none")
		case len(words) == 0:
			return bad("there is nothing before or behind a comma")
		case len(words) == 1:
			return bad("'%s' lacks an age", strings.TrimSpace(part))
		case len(words) > 2:
			return bad("'%s' has too many words: a comma stands between clauses", strings.TrimSpace(part))
		}
		c := retentionClause{kind: words[0], text: words[1]}
		if !slices.Contains(retentionKinds, c.kind) {
			_, err := bad("unknown kind '%s': want one of %s", c.kind, strings.Join(retentionKinds, ", "))
			return Retention{}, errs.WithMeant(err, errs.Nearest(c.kind, retentionKinds))
		}
		if r.clause(c.kind) != nil {
			return bad("'%s' stands there twice", c.kind)
		}
		if c.forever = c.text == "forever"; !c.forever {
			age, ok := parseAge(c.text)
			if !ok {
				return bad("'%s' is no age: want a number of hours, days, weeks or years (12h, 7d, 6w, 1y), or forever", c.text)
			}
			c.age = age
		}
		r.clauses = append(r.clauses, c)
	}
	slices.SortFunc(r.clauses, func(a, b retentionClause) int {
		return slices.Index(retentionKinds, a.kind) - slices.Index(retentionKinds, b.kind)
	})
	return r, nil
}

// parseAge reads a number with a unit. A year has 365 days.
func parseAge(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	units := map[byte]time.Duration{'h': time.Hour, 'd': day, 'w': 7 * day, 'y': 365 * day}
	if len(s) < 2 {
		return 0, false
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil || n > uint64(math.MaxInt64/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// String is the rules as ParseRetention reads them, in the order of kinds.
func (r Retention) String() string {
	list := make([]string, len(r.clauses))
	for i, c := range r.clauses {
		list[i] = c.kind + " " + c.text
	}
	return strings.Join(list, ", ")
}

func (r Retention) clause(kind string) *retentionClause {
	for i := range r.clauses {
		if r.clauses[i].kind == kind {
			return &r.clauses[i]
		}
	}
	return nil
}

// covers tells whether what happened at t is young enough at the time now.
func (c *retentionClause) covers(t, now time.Time) bool { return c.forever || now.Sub(t) <= c.age }

// keepsTag tells whether a tag keeps the commit of time t in the branch's history.
func (r Retention) keepsTag(t, now time.Time) bool {
	c := r.clause(retainTags)
	return c == nil || c.covers(t, now)
}

// Keeps says which of things that were made at these times the rules keep, as they do the commits of a branch, and the newest always.
// Rules about tags keep none.
func (r Retention) Keeps(times []time.Time, now time.Time) []bool {
	order := make([]int, len(times)) // newest first
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return times[b].Compare(times[a]) })
	out := make([]bool, len(times))
	if len(order) > 0 {
		out[order[0]] = true
	}
	for i := range r.clauses {
		c := &r.clauses[i]
		period, seen := retainPeriods[c.kind], map[string]bool{}
		for _, k := range order {
			t := times[k]
			if c.kind == retainTags || !c.covers(t, now) {
				continue
			}
			if period != nil {
				name := period(t.UTC())
				if seen[name] {
					continue
				}
				seen[name] = true
			}
			out[k] = true
		}
	}
	return out
}
