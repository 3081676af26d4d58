package op

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/training"
)

// lockColumns and verifyColumns are the columns of what data lock and data verify answer.
var (
	lockColumns   = []Column{Text("split"), Text("item"), Text("commit"), Whole("rows"), Text("state")}
	verifyColumns = []Column{Text("split"), Text("item"), Text("state"), Text("problem")}
)

// DataLock is the verb that pins the tables of a training configuration.
type DataLock struct {
	Config  string   `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock    string   `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
	Upgrade []string `flag:"upgrade,U" value:"table" complete:"table" help:"pin this table anew; may be repeated"`
	All     bool     `flag:"upgrade-all" help:"pin every table anew"`
	Check   bool     `flag:"check" help:"write nothing; exit with 1 when the lock is missing, or is not what the configuration and its revisions mean now"`
}

func dataLockSpec() Spec {
	return Define[DataLock](Spec{
		Name: "data lock", Columns: lockColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Pin the tables of a training configuration",
		Long: `The configuration lists tables at revisions, by split:

    train:
    - client_data@main
    - labels:batch@v2026.10
    - {table: some_table, ref: main, columns: [id, y], where: "country = 'DE'"}

The lock file says of each the commit, the hashes of table, schema and content, and the number of rows. What is in it stays as it is until
--upgrade names its table. A commit that has moved while the table's hash is the same is not stale.

Keys that two splits have in common, such as rows that are trained on and tested with, are warned of and noted in the lock file. Tables
whose primary keys have the same columns are compared, whatever their names.`,
		Examples: []Example{
			{"data lock", "pin what is not pinned yet"},
			{"data lock --upgrade client_data", "take the newest rows of one table"},
			{"data lock --check", "for a pipeline: is the lock up to date?"},
		},
	})
}

// Run locks.
func (c *DataLock) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := openTraining(s, c.Config, c.Lock, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	if c.Check {
		return c.check(ctx, t)
	}
	for _, u := range c.Upgrade {
		if !t.names(u) {
			return nil, errs.New(errs.NotFound, "--upgrade %s: %s names no such table", u, c.Config)
		}
	}
	next := &training.Lock{Version: training.LockVersion, Config: t.config.Hash().Full()}
	r := &Result{Columns: lockColumns}
	for _, split := range t.config.Splits {
		locked := training.LockedSplit{Name: split.Name}
		for _, item := range split.Items {
			var old *training.Pin
			if t.lock != nil {
				old = t.lock.Find(split.Name, item)
			}
			if old != nil && !c.upgrades(item) {
				locked.Items = append(locked.Items, *old)
				r.Add(split.Name, item.String(), old.Commit[:32], int64(old.Rows), "kept")
				continue
			}
			p, err := t.resolve(ctx, item, "")
			if err != nil {
				return nil, err
			}
			pin, err := t.pin(ctx, p)
			if err != nil {
				return nil, err
			}
			state := "locked"
			switch {
			case old != nil && old.TableHash == pin.TableHash && old.ContentHash == pin.ContentHash:
				state = "unchanged"
			case old != nil:
				state = "upgraded"
			}
			locked.Items = append(locked.Items, *pin)
			r.Add(split.Name, item.String(), p.commit.String(), int64(pin.Rows), state)
		}
		next.Splits = append(next.Splits, locked)
	}
	if err := t.findShared(ctx, next); err != nil {
		return nil, err
	}
	data, err := next.Encode()
	if err != nil {
		return nil, err
	}
	err = writeFile(s, t.lockAt, true, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, row := range r.Rows {
		r.Printf("%-9s %s: %s (%d rows, commit %s)", row[4], row[0], row[1], row[3], row[2])
	}
	r.Hints = append(r.Hints, sharedHints(next.SharedKeys)...)
	return r, nil
}

// findShared notes in a new lock the keys that splits have in common.
func (t *trainingRun) findShared(ctx context.Context, next *training.Lock) error {
	was := t.lock
	t.lock = next
	defer func() { t.lock = was }()
	items, err := t.locate(ctx, true)
	if err != nil {
		return err
	}
	next.SharedKeys, err = t.shared(ctx, items)
	return err
}

// names tells whether the configuration has the table.
func (t *trainingRun) names(table string) bool {
	for _, s := range t.config.Splits {
		for _, i := range s.Items {
			if isItem(i, table) {
				return true
			}
		}
	}
	return false
}

// isItem tells whether a user means the item by a name: its table's, with or without the database, or all of the item.
func isItem(i training.Item, name string) bool {
	return strings.EqualFold(i.Table, name) || strings.EqualFold(i.Database+":"+i.Table, name) || i.String() == name
}

func (c *DataLock) upgrades(i training.Item) bool {
	if c.All {
		return true
	}
	for _, u := range c.Upgrade {
		if isItem(i, u) {
			return true
		}
	}
	return false
}

// check tells what of the lock is stale.
func (c *DataLock) check(ctx context.Context, t *trainingRun) (*Result, error) {
	r := &Result{Columns: lockColumns}
	stale := func(split, item, reason string) {
		r.Add(split, item, nil, nil, "stale: "+reason)
		r.Printf("stale: %s: %s: %s", split, item, reason)
	}
	if t.lock == nil {
		stale("", t.lockAt, "there is no lock file")
		r.ExitCode = 1
		return r, nil
	}
	for _, split := range t.config.Splits {
		for _, item := range split.Items {
			pin := t.lock.Find(split.Name, item)
			if pin == nil {
				stale(split.Name, item.String(), "not locked")
				continue
			}
			p, err := t.resolve(ctx, item, "")
			if err != nil {
				return nil, err
			}
			same, err := t.same(ctx, p, pin)
			if err != nil {
				return nil, err
			}
			if !same {
				stale(split.Name, item.String(), "the table has changed since commit "+pin.Commit[:32])
			}
		}
	}
	_ = t.eachPin(func(split string, pin *training.Pin) error {
		s, _ := t.config.Split(split)
		for _, i := range s.Items {
			if i.Same(pin.Item) {
				return nil
			}
		}
		stale(split, pin.Item.String(), "not in the configuration any more")
		return nil
	})
	r.Hints = sharedHints(t.lock.SharedKeys)
	if len(r.Rows) > 0 {
		r.ExitCode = 1
		return r, nil
	}
	r.Printf("%s is up to date.", t.lockAt)
	return r, nil
}

// DataVerify is the verb that compares a lock file with what the databases hold.
type DataVerify struct {
	Config string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock   string `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
}

func dataVerifySpec() Spec {
	return Define[DataVerify](Spec{
		Name: "data verify", Columns: verifyColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Check that the locked rows are there, bit for bit",
		Long:  `All rows are read. It exits with 3 when a commit or table is missing, and with 5 when a hash or a number of rows is another.`,
	})
}

// Run verifies.
func (c *DataVerify) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := openTraining(s, c.Config, c.Lock, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	r := &Result{Columns: verifyColumns}
	err = t.eachPin(func(split string, pin *training.Pin) error {
		state, problem := "ok", ""
		p, err := t.resolve(ctx, pin.Item, pin.Commit)
		switch {
		case errs.Is(err, errs.NotFound):
			state, problem = "missing", err.Error()
			r.ExitCode = max(r.ExitCode, 3)
		case err != nil:
			return err
		default:
			now, err := t.pin(ctx, p)
			if err != nil {
				return err
			}
			var bad []string
			for _, h := range [][3]string{{"table_hash", now.TableHash, pin.TableHash}, {"schema_hash", now.SchemaHash, pin.SchemaHash}, {"content_hash", now.ContentHash, pin.ContentHash}} {
				if h[1] != h[2] {
					bad = append(bad, fmt.Sprintf("%s is %s, locked %s", h[0], h[1], h[2]))
				}
			}
			if now.Rows != pin.Rows {
				bad = append(bad, fmt.Sprintf("%d rows, locked %d", now.Rows, pin.Rows))
			}
			if len(bad) > 0 {
				state, problem, r.ExitCode = "mismatch", strings.Join(bad, "; "), 5
			}
		}
		r.Add(split, pin.Item.String(), state, problem)
		if problem == "" {
			r.Printf("%-8s %s: %s", state, split, pin.Item)
		} else {
			r.Printf("%-8s %s: %s: %s", state, split, pin.Item, problem)
		}
		return nil
	})
	return r, err
}
