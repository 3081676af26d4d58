package op

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// commitColumns are the columns of what commit answers.
var commitColumns = []Column{Text("hash")}

// Commit is the verb that records the staged tables in the history.
type Commit struct {
	Message    string   `flag:"message,m" value:"text" help:"the commit's message"`
	All        bool     `flag:"all,a" help:"stage changed and dropped tables first"`
	AddNew     bool     `flag:"ALL,A" help:"stage every table first, new ones too"`
	Amend      bool     `flag:"amend" help:"replace the last commit"`
	AllowEmpty bool     `flag:"allow-empty" help:"commit even when nothing has changed"`
	SkipEmpty  bool     `flag:"skip-empty" help:"do nothing, and succeed, when nothing has changed"`
	Date       string   `flag:"date" value:"time" help:"the author's time"`
	Author     string   `flag:"author" value:"'Name <mail>'" help:"the author"`
	Meta       []string `flag:"meta" value:"key=value" help:"structured metadata; may be repeated"`
	Branch     string   `flag:"branch" value:"branch" complete:"branch" help:"commit on this branch rather than the checked-out one"`
	Sign       string   `flag:"gpg-sign,S" bare:"default" hidden:"true" value:"key" help:"not offered: commits are not signed"`
	Skip       bool     `flag:"skip-verification" hidden:"true" help:"accepted for compatibility"`
	Force      bool     `flag:"force,f" hidden:"true" help:"accepted for compatibility"`
}

func commitSpec() Spec {
	return Define[Commit](Spec{
		Name: "commit", Columns: commitColumns, Group: GroupWork, Needs: NeedDatabase, Signs: true,
		Short: "Record changes in the history",
		Long: `Commits what is staged. Without -m the message is written in the editor that the setting core.editor or STEMMA_EDITOR names, or on a
terminal VISUAL or EDITOR; lines that begin with # are not part of it.`,
		Examples: []Example{
			{`commit -am "load January"`, "commit the changed tables"},
			{`commit -Am "first load"`, "commit new tables as well"},
			{`commit -Am "train" --meta run=17`, "with metadata that can be queried"},
		},
	})
}

// Run commits.
func (c *Commit) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.AllowEmpty && c.SkipEmpty {
		return nil, errs.New(errs.Invalid, "commit: --allow-empty and --skip-empty exclude each other")
	}
	if c.Sign != "" {
		return nil, errs.New(errs.Unsupported, "commit: signed commits are not offered; leave -S out")
	}
	s, err := s.on(ctx, c.Branch)
	if err != nil {
		return nil, err
	}
	opt := repo.CommitOptions{
		Branch: s.branch(), Message: c.Message, All: c.All, AddNew: c.AddNew, Amend: c.Amend, AllowEmpty: c.AllowEmpty,
		OwnAuthor: c.Author != "",
		Committer: s.committer(),
	}
	if !c.Amend || c.Author != "" {
		if opt.Author, err = s.signatureWith(c.Author); err != nil {
			return nil, err
		}
	}
	if c.Date != "" {
		if opt.Author.Time, err = ParseTime(c.Date); err != nil {
			return nil, err
		}
		// As with Dolt, a given date is the commit's own, so that a history can be made again.
		opt.Committer.Time = opt.Author.Time
	}
	if opt.Meta, err = metaJSON(c.Meta); err != nil {
		return nil, err
	}
	made, err := s.commit(ctx, opt)
	if errs.Is(err, errs.NothingToDo) {
		if c.SkipEmpty {
			r := Say("Skipping empty commit")
			r.Columns, r.Rows = commitColumns, [][]any{{""}}
			return r, nil
		}
		return nil, errs.New(errs.NothingToDo, "nothing to commit%s", stageHint(ctx, s))
	}
	if err != nil {
		return nil, err
	}
	r, err := logEntry(ctx, s, made)
	if err != nil {
		return nil, err
	}
	r.Columns, r.Rows = commitColumns, [][]any{{made.ID.String()}}
	return r, nil
}

// WantsMessage tells whether an error is that of a commit without a message, also when another process has said it.
func WantsMessage(err error) bool {
	return errs.Is(err, errs.Invalid) && strings.Contains(err.Error(), repo.NeedsMessage)
}

// stageHint tells how to stage when there are changes that are not staged.
func stageHint(ctx context.Context, s *Scope) string {
	st, err := readStatus(ctx, s)
	if err != nil || len(st.unstaged)+len(st.untracked) == 0 {
		return ""
	}
	if len(st.unstaged) == 0 {
		return "; new tables are not staged: use 'add <table>' or commit with -A"
	}
	return "; changed tables are not staged: use 'add <table>' or commit with -a (-A for new ones too)"
}

// metaJSON is the JSON object of key=value pairs; a value that is JSON itself is kept as such.
func metaJSON(pairs []string) (string, error) {
	if len(pairs) == 0 {
		return "", nil
	}
	m := map[string]json.RawMessage{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return "", errs.New(errs.Invalid, "metadata '%s' is not in the form key=value", p)
		}
		if json.Valid([]byte(v)) {
			m[k] = json.RawMessage(v)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return "", errs.New(errs.Invalid, "metadata '%s': %w", p, err)
		}
		m[k] = b
	}
	b, err := json.Marshal(m)
	return string(b), err
}
