package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/vfs"
)

// private sees to it that a process answers for the database of a directory, or for the mirror of a remote, of which it says the directory:
// another process, or this one until nobody has asked for a while.
func (v *serverVerb) private(ctx context.Context) (*op.Result, error) {
	if !isURL(v.Private) {
		return nil, v.privateIn(ctx, absolute(v.program.Dir, v.Private))
	}
	url, dir, err := v.program.remoteAt(v.Private)
	if err == nil && dir == "" {
		at := v.program.kept
		if strings.HasPrefix(url, "http") { // a server keeps its databases itself
			at = v.program.mirror
		}
		dir, err = at(ctx, url)
	}
	if err != nil {
		return nil, err
	}
	return &op.Result{Lines: []string{dir}}, v.privateIn(ctx, dir)
}

// privateIn is private for a directory.
func (v *serverVerb) privateIn(ctx context.Context, dir string) error {
	marker, err := repo.Locate(vfs.OS{}, dir)
	if err != nil {
		return err
	}
	if v.Here {
		return v.program.answerFor(ctx, dir)
	}
	return v.program.ensureOwner(ctx, dir, marker)
}

// answers tells whether a process answers on the socket of a database.
func answers(ctx context.Context, marker string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", owner.SocketPath(marker))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// privatePatience is how long the start of a private owner may take.
const privatePatience = 30 * time.Second

// ensureOwner starts an owner of the database unless somebody answers.
func (p *Program) ensureOwner(ctx context.Context, dir, marker string) error {
	ctx, cancel := context.WithTimeout(ctx, privatePatience)
	defer cancel()
	if answers(ctx, marker) {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return errs.New(errs.Internal, "start an owner: %w", err)
	}
	// Not of this context: the owner outlives the one who starts it.
	cmd := exec.Command(program, "serve", "--private", dir, "--here")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), envErrorClass+"=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return errs.New(errs.Internal, "start an owner: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		select {
		case err := <-ended:
			if answers(ctx, marker) {
				return nil // another was first
			}
			if err == nil {
				ended = nil // it found the database owned by somebody who does not answer yet
				continue
			}
			message, class := parseReport(said.String())
			return errs.New(class, "no process could be started that answers for %s: %s", dir, message)
		case <-time.After(pause):
			if answers(ctx, marker) {
				return nil
			}
		case <-ctx.Done():
			return errs.New(errs.Locked, "nobody answers for %s, although its database is in use", dir)
		}
	}
}

// privateCache is how much memory a private owner keeps for chunks, in bytes: it is a guest in its user's program.
const privateCache = 64 << 20

// idleOwner is how long a private owner stays after its last client.
const idleOwner = 5 * time.Second

// answerFor owns the database of dir and answers on its socket until no client has been there for a while. When another process owns the
// database there is nothing to do.
func (p *Program) answerFor(ctx context.Context, dir string) (err error) {
	h, err := p.holdWith(ctx, dir, repo.Options{Clock: p.Clock, CacheBytes: privateCache, Expressions: engine.Expressions()}, listening{})
	if errs.Is(err, errs.Locked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	if !h.answering() {
		return errs.New(errs.Unsupported, "%s cannot have a socket", dir)
	}
	if _, err := h.start(ctx); err != nil {
		return err
	}
	last := clock.System{}.Now()
	tick := time.NewTicker(idleOwner / 20)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !h.idle() {
				last = clock.System{}.Now()
			} else if clock.Since(last) > idleOwner {
				return nil
			}
		}
	}
}

// answering tells whether the database has a socket.
func (h *holding) answering() bool {
	h.sockMu.Lock()
	defer h.sockMu.Unlock()
	return len(h.socks) > 0
}

// idle tells whether no client is connected to a socket.
func (h *holding) idle() bool {
	h.sockMu.Lock()
	defer h.sockMu.Unlock()
	for _, s := range h.socks {
		if !s.Idle() {
			return false
		}
	}
	return true
}
