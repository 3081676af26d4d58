package repo

import (
	"encoding/binary"
	"time"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// What the reflog keeps: at most so many moves, none older than so long, but of every ref at least the last.
const (
	reflogMost = 10_000
	reflogAge  = 90 * 24 * time.Hour
)

// RefMove is a branch or a tag coming to name a commit.
type RefMove struct {
	Ref    string           // in full: refs/heads/… or refs/tags/…
	Commit history.CommitID // zero: the ref was removed
	Time   time.Time        // when it moved; zero where the database was written by a program that did not note it
}

// The beginnings of full names of refs.
const (
	refsHeads = "refs/heads/"
	refsTags  = "refs/tags/"
)

// reflog is a list of moves, the newest first. It is immutable; nil is the empty one.
type reflog struct {
	move RefMove
	past *reflog
	n    int // moves in the list
}

func (l *reflog) len() int {
	if l == nil {
		return 0
	}
	return l.n
}

// with is the list with later moves, oldest first. A move to where the ref is already is left out.
func (l *reflog) with(moves ...RefMove) *reflog {
	nodes := make([]reflog, len(moves))
	for i, m := range moves {
		if last := l.last(m.Ref); last != nil && last.Commit == m.Commit {
			continue
		}
		nodes[i] = reflog{move: m, past: l, n: l.len() + 1}
		l = &nodes[i]
	}
	if l.len() > 2*reflogMost {
		return newReflog(l.keep(l.move.Time))
	}
	return l
}

// lastDepth is how far back last looks: a move that is noted twice because the last one is farther away does no harm.
const lastDepth = 64

// last is the newest of the last few moves of that ref; nil when there is none.
func (l *reflog) last(ref string) *RefMove {
	for i := 0; l != nil && i < lastDepth; i, l = i+1, l.past {
		if l.move.Ref == ref {
			return &l.move
		}
	}
	return nil
}

// newReflog is a list of moves given newest first.
func newReflog(moves []RefMove) *reflog {
	var l *reflog
	for i := len(moves) - 1; i >= 0; i-- {
		l = &reflog{move: moves[i], past: l, n: l.len() + 1}
	}
	return l
}

// keep is the moves that are kept at that time, newest first.
func (l *reflog) keep(now time.Time) []RefMove {
	var out []RefMove
	seen := map[string]bool{}
	for ; l != nil; l = l.past {
		m := l.move
		old := !m.Time.IsZero() && now.Sub(m.Time) > reflogAge
		if seen[m.Ref] && (old || len(out) >= reflogMost) {
			continue
		}
		seen[m.Ref] = true
		out = append(out, m)
	}
	return out
}

// moves are what a change does to refs.
func (c *change) moves(now time.Time) []RefMove {
	var out []RefMove
	for _, x := range c.refs {
		if x.name == lineageRef {
			continue
		}
		out = append(out, RefMove{Ref: refsHeads + x.name, Commit: x.head, Time: now})
	}
	for _, x := range c.tags {
		out = append(out, RefMove{Ref: refsTags + x.name, Commit: x.commit, Time: now})
	}
	return out
}

// noTime stands for the zero time in records.
const noTime = -1 << 63

func appendMoves(b []byte, moves []RefMove) []byte {
	b = binary.AppendUvarint(b, uint64(len(moves)))
	for _, m := range moves {
		us := int64(noTime)
		if !m.Time.IsZero() {
			us = m.Time.UnixMicro()
		}
		b = binfmt.AppendString(b, m.Ref)
		b = append(b, m.Commit[:]...)
		b = binary.AppendVarint(b, us)
	}
	return b
}

func readMoves(d *binfmt.Decoder) []RefMove {
	n := d.Count()
	if n == 0 {
		return nil
	}
	out := make([]RefMove, 0, min(n, len(d.B)/leastMove))
	ref := ""
	for ; n > 0 && d.Err == nil; n-- {
		if b := d.Bytes(); string(b) != ref { // as a rule it is the same branch time and again
			ref = string(b)
		}
		m := RefMove{Ref: ref, Commit: d.Hash()}
		if us := d.Varint(); us != noTime {
			m.Time = time.UnixMicro(us).UTC()
		}
		out = append(out, m)
	}
	return out
}

// leastMove is the least length in bytes of a move as appendMoves writes it.
const leastMove = 1 + hash.Size + 1

// RefLog is the moves of branches and tags that are kept, the newest first. Those of one change come last first.
func (r *Repo) RefLog() []RefMove {
	return r.published.Load().log.keep(r.opt.Clock.Now())
}

// replay adds what a record says of refs: the moves that it notes or, in a record of an older format, those of its branches.
func (l *reflog) replay(c *change) *reflog {
	if c.log != nil {
		return l.with(c.log...)
	}
	old := change{refs: c.refs} // of tags it names the object, not the commit
	return l.with(old.moves(time.Time{})...)
}
