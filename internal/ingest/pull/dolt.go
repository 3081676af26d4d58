package pull

import (
	"context"
	"net/url"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// Dolt is a Source that is a database of a running Dolt server, with its history.
type Dolt struct{ *mySQL }

// DoltBranch is a branch and the hash of its newest commit.
type DoltBranch struct{ Name, Head string }

// DoltCommit is a commit.
type DoltCommit struct {
	Hash        string
	Parents     []string
	Name, Email string
	Date        time.Time
	Message     string
}

// DoltChange is a table that a commit changed. From is "" for a new table and To for a dropped one.
type DoltChange struct{ From, To string }

// OpenDolt connects to dolt://user:password@host:port/database.
func OpenDolt(ctx context.Context, rawURL string) (*Dolt, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the server's address cannot be read: want dolt://user:password@host:port/database")
	}
	if u.User == nil {
		u.User = url.User("root")
	}
	m, err := openMySQL(ctx, u)
	if err != nil {
		return nil, err
	}
	return &Dolt{m}, nil
}

// Branches are the branches by name.
func (d *Dolt) Branches(ctx context.Context) ([]DoltBranch, error) {
	var out []DoltBranch
	err := d.rows(ctx, "select name, hash from dolt_branches order by name", func(f [][]byte) error {
		out = append(out, DoltBranch{string(f[0]), string(f[1])})
		return nil
	})
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Invalid, "the server is not Dolt: it has no dolt_branches; mysql:// reads the tables of other servers")
	}
	return out, err
}

// Commits are those that can be reached from the branches, parents before their children.
func (d *Dolt) Commits(ctx context.Context, branches []DoltBranch) ([]*DoltCommit, error) {
	all := map[string]*DoltCommit{}
	for _, b := range branches {
		err := d.rows(ctx, "select commit_hash, committer, email, date, message from dolt_log("+literal(b.Name)+")", func(f [][]byte) error {
			h := string(f[0])
			if all[h] != nil {
				return nil
			}
			at, err := time.Parse("2006-01-02 15:04:05.999999999", string(f[3]))
			if err != nil {
				return errs.New(errs.Invalid, "commit %s: its time %s cannot be read", h, f[3])
			}
			all[h] = &DoltCommit{Hash: h, Name: string(f[1]), Email: string(f[2]), Date: at, Message: string(f[4])}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := d.rows(ctx, "select commit_hash, parent_hash from dolt_commit_ancestors order by commit_hash, parent_index", func(f [][]byte) error {
		if c := all[string(f[0])]; c != nil && f[1] != nil {
			c.Parents = append(c.Parents, string(f[1]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []*DoltCommit
	state := map[string]int{}
	for _, b := range branches { // depth first, without recursion: histories are long
		stack := []string{b.Head}
		for len(stack) > 0 {
			h := stack[len(stack)-1]
			c := all[h]
			if c == nil {
				return nil, errs.New(errs.NotFound, "the server does not show commit %s", h)
			}
			switch state[h] {
			case 0:
				state[h] = 1
				for i := len(c.Parents) - 1; i >= 0; i-- {
					if state[c.Parents[i]] == 0 {
						stack = append(stack, c.Parents[i])
					}
				}
			case 1:
				state[h] = 2
				out = append(out, c)
				fallthrough
			default:
				stack = stack[:len(stack)-1]
			}
		}
	}
	return out, nil
}

// Changed are the tables that a commit changed against its first parent; of a first commit, all.
func (d *Dolt) Changed(ctx context.Context, c *DoltCommit) ([]DoltChange, error) {
	var out []DoltChange
	if len(c.Parents) == 0 {
		at := *d.mySQL
		at.asOf = c.Hash
		names, err := at.Tables(ctx)
		for _, n := range names {
			out = append(out, DoltChange{To: n})
		}
		return out, err
	}
	err := d.rows(ctx, "select from_table_name, to_table_name from dolt_diff_summary("+literal(c.Parents[0])+", "+literal(c.Hash)+")", func(f [][]byte) error {
		out = append(out, DoltChange{string(f[0]), string(f[1])})
		return nil
	})
	return out, err
}

// DescribeAt describes a table at a commit, for Read.
func (d *Dolt) DescribeAt(ctx context.Context, table, commit string) (*Table, error) {
	at := *d.mySQL
	at.asOf = commit
	return at.Describe(ctx, table)
}
