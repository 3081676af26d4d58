package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/training"
)

// itemColumns are the columns of what data items answers.
var itemColumns = []Column{Text("split"), Text("item"), Text("directory"), Text("database"), Text("table"), Text("ref"), Text("commit"), Whole("rows"), Document("columns"),
	Text("where"), Document("primary_key"), Text("table_hash"), Text("content_hash")}

// DataItems is the verb that says which rows the items of a training configuration mean.
type DataItems struct {
	Config     string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock       string `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
	Split      string `flag:"split" help:"of this split only"`
	Frozen     bool   `flag:"frozen" help:"as the lock file has them, not as revisions mean them now"`
	ConfigText string `flag:"config-text" hidden:"true" help:"what the configuration holds, from clients on other machines"`
	LockText   string `flag:"lock-text" hidden:"true" help:"what the lock file holds"`
	Shared     bool   `flag:"shared-keys" help:"look for keys that are in two splits, where the lock file does not tell"`
}

func dataItemsSpec() Spec {
	return Define[DataItems](Spec{
		Name: "data items", Columns: itemColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "List the tables of a training configuration and the commits that they mean",
		Long: `Programs that read the rows themselves ask it: directory is where the database of the item is, empty for the one that is worked on. rows is
empty for an item with a condition that is not locked; columns and rows come in the order of the table. With --frozen the items are those of the lock file; it exits with 5 when a table at its commit is not the one
that was locked.`,
		Examples: []Example{
			{"data items", "what the configuration means now"},
			{"data items --frozen --split train", "what the lock says of a split"},
		},
	})
}

// Run lists.
func (c *DataItems) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := c.open(s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	if names := t.splitNames(c.Frozen); c.Split != "" && !slices.Contains(names, c.Split) {
		file := c.Config
		if c.Frozen {
			file = t.lockAt
		}
		return nil, errs.New(errs.NotFound, "%s has no split %s; it has %s", file, c.Split, strings.Join(names, ", "))
	}
	items, err := t.locate(ctx, c.Frozen)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: itemColumns, Lines: []string{}}
	for _, l := range items {
		if c.Split != "" && c.Split != l.split {
			continue
		}
		if err := c.add(t, r, l); err != nil {
			return nil, err
		}
	}
	found := []training.SharedKeys(nil)
	switch {
	case c.Frozen:
		found = t.lock.SharedKeys
	case c.Shared:
		if found, err = t.shared(ctx, items); err != nil {
			return nil, err
		}
	}
	r.Hints = sharedHints(found)
	if c.Frozen && c.Lock == "" && t.lock.Config != t.config.Hash().Full() {
		r.Hints = append(r.Hints, fmt.Sprintf("%s asks for other tables than %s pins; bring it up to date with: %s data lock", filepath.Base(c.Config), filepath.Base(t.lockAt), s.Program()))
	}
	return r, r.SetDetail(found)
}

// open reads the configuration, and the lock when it is needed.
func (c *DataItems) open(s *Scope) (*trainingRun, error) {
	if c.ConfigText == "" {
		return openTraining(s, c.Config, c.Lock, c.Frozen)
	}
	t := newTraining(s, c.Config, c.Lock)
	var err error
	if t.config, err = training.ParseConfig(c.Config, []byte(c.ConfigText)); err == nil && c.Frozen {
		t.lock, err = training.ParseLock(t.lockAt, []byte(c.LockText))
	}
	return t, err
}

// add adds the row of an item.
func (c *DataItems) add(t *trainingRun, r *Result, l located) error {
	p, item := l.p, l.p.item
	var rows, content any
	if item.Where == "" {
		rows = int64(p.view.Count())
	}
	if pin := l.pin; pin != nil {
		if now := p.view.Table.Hash().Full(); now != pin.TableHash {
			return errs.New(errs.Corrupt, "%s: the table at commit %s is not the one that was locked: its hash is %s, locked %s", item, pin.Commit[:32], now, pin.TableHash)
		}
		rows, content = int64(pin.Rows), pin.ContentHash
	}
	var chosen []string // nil for all
	if item.Columns != nil {
		part, _ := partOf(p, false)
		for _, col := range part.Columns {
			chosen = append(chosen, col.Name)
		}
	}
	columns, err := json.Marshal(chosen)
	if err != nil {
		return errs.New(errs.Internal, "encode columns: %w", err)
	}
	key, err := json.Marshal(keyNames(p.view.Schema().Schema))
	if err != nil {
		return errs.New(errs.Internal, "encode key: %w", err)
	}
	dir := ""
	if t.opened[item.Database] == p.r {
		dir = filepath.Dir(p.r.Dir())
	}
	r.Add(l.split, item.String(), dir, item.Database, p.name, item.Ref, p.commit.Full(), rows, string(columns), item.Where, string(key), p.view.Table.Hash().Full(), content)
	if rows == nil {
		r.Printf("%s: %s (commit %s)", l.split, item, p.commit)
	} else {
		r.Printf("%s: %s (%d rows, commit %s)", l.split, item, rows, p.commit)
	}
	return nil
}
