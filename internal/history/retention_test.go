package history_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

func TestParseRetention(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"all 7d, daily 90d, tags forever", "all 7d, daily 90d, tags forever"},
		{" Tags 1Y ,yearly forever,ALL 12h", "all 12h, yearly forever, tags 1y"},
		{"hourly 2d, monthly 52w, weekly 0d", "hourly 2d, weekly 0d, monthly 52w"},
	} {
		r, err := history.ParseRetention(c.text)
		if err != nil || r.String() != c.want {
			t.Errorf("%q: %q, %v; want %q", c.text, r, err, c.want)
			continue
		}
		if again, err := history.ParseRetention(r.String()); err != nil || again.String() != c.want {
			t.Errorf("%q read again: %q, %v", c.want, again, err)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", "there is none"},
		{"  ", "there is none"},
		{"all 7d,", "nothing before or behind a comma"},
		{"all", "'all' lacks an age"},
		{"all 7d daily 90d", "a comma stands between clauses"},
		{"dayly 7d", "unknown kind 'dayly'"},
		{"all 7d, all 9d", "'all' stands there twice"},
		{"all 7", "'7' is no age"},
		{"all d", "'d' is no age"},
		{"all 3m", "'3m' is no age"},
		{"all -1d", "'-1d' is no age"},
		{"all 1.5d", "'1.5d' is no age"},
		{"all 4000000000y", "'4000000000y' is no age"},
		{"all never", "'never' is no age"},
	} {
		if r, err := history.ParseRetention(c.text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tags forever") {
			t.Errorf("%q: %q, %v; want %q", c.text, r, err, c.want)
		}
	}
	if _, err := history.ParseRetention("dayly 7d"); len(errs.Meant(err)) != 1 || errs.Meant(err)[0] != "daily" {
		t.Errorf("the nearest kind is not offered: %v", errs.Meant(err))
	}
}

// thinNow is when the tests thin.
var thinNow = time.Date(2024, 3, 10, 12, 0, 0, 0, time.UTC)

// graphOf makes commits from lines "name age parents…", where age is before thinNow, as Go writes durations.
func graphOf(t *testing.T, st *chunk.Mem, lines ...string) map[string]*history.Commit {
	t.Helper()
	all := map[string]*history.Commit{}
	for _, l := range lines {
		w := strings.Fields(l)
		age, err := time.ParseDuration(w[1])
		if err != nil {
			t.Fatal(err)
		}
		at := thinNow.Add(-age)
		c := &history.Commit{Message: w[0], Height: 1, Author: history.Signature{Name: "Ada", Time: at}, Committer: history.Signature{Name: "Ada", Time: at}}
		for _, p := range w[2:] {
			c.Parents = append(c.Parents, all[p].ID)
			c.Height = max(c.Height, all[p].Height+1)
		}
		if _, err := c.Put(ctx, st); err != nil {
			t.Fatal(err)
		}
		all[w[0]] = c
	}
	return all
}

// TestThin says of small histories what stays and with which parents.
func TestThin(t *testing.T) {
	const day = 24
	line := []string{"root 9000h"}
	before := "root"
	// Two commits on each of the last ten days, at 12:00 and 13:00, and one now.
	for d := 10; d >= 1; d-- {
		for k, h := range []int{d * day, d*day - 1} {
			name := fmt.Sprintf("d%d%c", d, 'a'+k)
			line = append(line, fmt.Sprintf("%s %dh %s", name, h, before))
			before = name
		}
	}
	line = append(line, "head 0h "+before)
	side := append(line[:len(line):len(line)],
		"s1 100h d5a", // 5 March
		"s2 90h s1",
		"merge 0h head s2",
	)
	for _, c := range []struct {
		name, rules    string
		lines          []string
		branches, tags string // name=commit
		ruled          string // branches with the rules
		want           string // commits that stay, newest first: name(parents); of those aside with a star
	}{
		{name: "days", lines: line, rules: "all 2d, daily 4d", branches: "main=head", ruled: "main",
			want: "head(d1b) d1b(d1a) d1a(d2b) d2b(d2a) d2a(d3b) d3b(d4b) d4b(root) root()"},
		{name: "nothing but heads", lines: line, rules: "tags 0d", branches: "main=head", ruled: "main", want: "head(root) root()"},
		{name: "everything", lines: line[:5], rules: "all forever", branches: "main=d9b", ruled: "main", want: "d9b(d9a) d9a(d10b) d10b(d10a) d10a(root) root()"},
		{name: "a tag in the history", lines: line, rules: "daily 1d", branches: "main=head", tags: "v1=d8a", ruled: "main",
			want: "head(d1b) d1b(d8a) d8a(root) root()"},
		{name: "a tag beside it", lines: line, rules: "daily 1d, tags 3d", branches: "main=head", tags: "v1=d8a v2=d2a", ruled: "main",
			want: "head(d1b) d1b(d2a) d2a(root) d8a*(root) root()"},
		{name: "a branch without rules", lines: side[:len(side)-1], rules: "daily 1d", branches: "main=head side=s2", ruled: "main",
			want: "head(d1b) d1b(d5a) s2(s1) s1(d5a) d5a(root) root()"},
		{name: "two branches with rules", lines: side[:len(side)-1], rules: "daily 1d", branches: "main=head side=s2", ruled: "main side",
			want: "head(d1b) d1b(d5a) s2(d5a) d5a(root) root()"},
		{name: "a merge of a branch that is gone", lines: side, rules: "daily 1d", branches: "main=merge", ruled: "main",
			want: "merge(d1b) d1b(root) root()"},
		{name: "a merge of a branch that is there", lines: side, rules: "daily 1d", branches: "main=merge side=s2", ruled: "main",
			want: "merge(d1b s2) d1b(root) s2(root) root()"},
		{name: "weeks and years", lines: line, rules: "weekly 20d, yearly forever", branches: "main=head", ruled: "main",
			want: "head(d7b) d7b(root) root()"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := chunk.NewMem()
			all := graphOf(t, st, c.lines...)
			names := map[history.CommitID]string{}
			for n, x := range all {
				names[x.ID] = n
			}
			rules, err := history.ParseRetention(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			heads := func(text string, of *history.Retention) (out []history.ThinHead) {
				for _, w := range strings.Fields(text) {
					name, commit, _ := strings.Cut(w, "=")
					h := history.ThinHead{Name: name, Commit: all[commit].ID}
					if strings.Contains(" "+c.ruled+" ", " "+name+" ") {
						h.Rules = of
					}
					out = append(out, h)
				}
				return out
			}
			list, err := history.Thin(ctx, st, heads(c.branches, &rules), heads(c.tags, nil), thinNow)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for i := range list {
				x := &list[i]
				if x.Why == "" {
					continue
				}
				star := ""
				if x.Aside {
					star = "*"
				}
				var ps []string
				for _, p := range x.Parents {
					ps = append(ps, names[p])
				}
				got[names[x.ID]] = names[x.ID] + star + "(" + strings.Join(ps, " ") + ")"
			}
			want := map[string]string{}
			for _, w := range strings.Split(strings.ReplaceAll(c.want, ") ", ")\n"), "\n") {
				n, _, _ := strings.Cut(w, "(")
				want[strings.TrimSuffix(n, "*")] = w
			}
			for n := range all {
				if got[n] != want[n] {
					t.Errorf("%s: %q, want %q", n, got[n], want[n])
				}
			}
		})
	}
}

// TestRetentionKeeps says which times rules keep: of each period the last, and the newest always.
func TestRetentionKeeps(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	hours := []int{0, 1, 5, 13, 20, 30, 60, 400}
	for rules, want := range map[string]string{
		"all 5h":                "0 1 5",
		"all 0h":                "0",
		"tags forever":          "0",
		"daily 3d":              "0 13 60",
		"daily 2d, all 1h":      "0 1 13",
		"hourly 1d":             "0 1 5 13 20",
		"yearly 1y":             "0",
		"monthly 1y, all 1h":    "0 1 400",
		"all forever, daily 1d": "0 1 5 13 20 30 60 400",
	} {
		r, err := history.ParseRetention(rules)
		if err != nil {
			t.Fatal(err)
		}
		times := make([]time.Time, len(hours))
		for i, h := range hours { // the oldest first
			times[len(hours)-1-i] = now.Add(-time.Duration(h) * time.Hour)
		}
		var got []string
		for i, kept := range r.Keeps(times, now) {
			if kept {
				got = append([]string{fmt.Sprint(hours[len(hours)-1-i])}, got...)
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s keeps %s, not %s", rules, text, want)
		}
	}
	if r, _ := history.ParseRetention("all 1d"); len(r.Keeps(nil, now)) != 0 {
		t.Error("of no times some are kept")
	}
}
