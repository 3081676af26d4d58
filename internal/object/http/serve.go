package http

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Handler answers requests for the stores of a server. Of a URL it takes the last part before /objects as the name of the store.
type Handler struct {
	// Open is the store of that name for whoever makes the request. Errors of class Denied of requests without credentials ask for some.
	Open func(r *nethttp.Request, name string) (object.Store, error)
	// FS has the directory Temp, for long bodies that are on their way.
	FS   vfs.FS
	Temp string
	// Failed, if not nil, is told of errors that are the server's own.
	Failed func(r *nethttp.Request, err error)
}

// How bodies are handled, in bytes.
const (
	memoryBody = 1 << 20   // up to that length they are kept in memory
	block      = 256 << 10 // what is read and written at a time
	largest    = 256 << 20 // of a body that is taken: packs are sent when they have 64 MiB, and a chunk may come on top
)

// patience is how long a client may take to send or to take a block.
const patience = time.Minute

// ServeHTTP implements net/http.Handler.
func (h *Handler) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	err := h.serve(w, r)
	if err == nil {
		return
	}
	class := errs.CodeOf(err)
	if h.Failed != nil && (class == errs.Internal || class == errs.Corrupt || class == errs.NoSpace) {
		h.Failed(r, err)
	}
	status := Status(class)
	if _, _, named := r.BasicAuth(); class == errs.Denied && !named {
		status = nethttp.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="stemma"`)
	}
	text, _ := json.Marshal(failure{Class: class.String(), Message: err.Error()}) // strings can be written as JSON
	if r.Method == nethttp.MethodHead {
		w.Header().Set(errorHeader, strings.NewReplacer("\n", " ", "\r", " ").Replace(string(text)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("ETag")
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever has gone needs no answer
}

// serve answers a request; with an error nothing of an answer is out.
func (h *Handler) serve(w nethttp.ResponseWriter, r *nethttp.Request) error {
	store, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), objectsPath)
	if !ok || store == "" || name != "" && name[0] != '/' {
		return errs.New(errs.NotFound, "there is nothing at %s: a URL is that of the server and the name of a database", r.URL.Path)
	}
	s, err := h.Open(r, store)
	if err != nil {
		return err
	}
	if name == "" {
		return h.list(w, r, s)
	}
	name = name[1:]
	if err := object.CheckName(name); err != nil {
		return err
	}
	switch r.Method {
	case nethttp.MethodGet:
		if rng := r.Header.Get("Range"); rng != "" {
			return h.part(w, r, s, name, rng)
		}
		return h.whole(w, r, s, name)
	case nethttp.MethodHead:
		in, err := s.Stat(r.Context(), name)
		if err == nil {
			w.Header().Set("Content-Length", strconv.FormatInt(in.Size, 10))
		}
		return err
	case nethttp.MethodPut:
		return h.put(w, r, s, name)
	case nethttp.MethodDelete:
		if err := s.Delete(r.Context(), name); err != nil {
			return err
		}
		w.WriteHeader(nethttp.StatusNoContent)
		return nil
	}
	return errs.New(errs.Unsupported, "objects are read and put, not %s", r.Method)
}

// list answers with names and lengths.
func (h *Handler) list(w nethttp.ResponseWriter, r *nethttp.Request, s object.Store) error {
	if r.Method != nethttp.MethodGet {
		return errs.New(errs.Unsupported, "lists are read, not %s", r.Method)
	}
	all, err := s.List(r.Context(), r.URL.Query().Get("prefix"))
	if err != nil {
		return err
	}
	out := listing{Objects: make([]listed, len(all))}
	for i, in := range all {
		out.Objects[i] = listed{in.Name, in.Size}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // whoever has gone needs no answer
	return nil
}

// whole answers with an object that is small.
func (h *Handler) whole(w nethttp.ResponseWriter, r *nethttp.Request, s object.Store, name string) error {
	in, err := s.Stat(r.Context(), name)
	if err != nil {
		return err
	}
	if in.Size > object.SmallMost {
		return h.send(w, r, s, name, 0, in.Size, nethttp.StatusOK)
	}
	data, g, err := s.Get(r.Context(), name)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+string(g)+`"`)
	w.Header().Set(digestHeader, digestOf(sha256.Sum256(data)))
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data) // whoever has gone needs no answer
	return nil
}

// part answers with a range.
func (h *Handler) part(w nethttp.ResponseWriter, r *nethttp.Request, s object.Store, name, rng string) error {
	in, err := s.Stat(r.Context(), name)
	if err != nil {
		return err
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(rng, "bytes="), "-")
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if last == "" {
		to, err2 = in.Size-1, nil
	}
	if !ok || err != nil || err2 != nil || from < 0 || last != "" && to < from {
		return errs.New(errs.Invalid, "range %q: want bytes=first-last", rng)
	}
	if from >= in.Size {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", in.Size))
		w.WriteHeader(nethttp.StatusRequestedRangeNotSatisfiable)
		return nil
	}
	to = min(to, in.Size-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, in.Size))
	return h.send(w, r, s, name, from, to+1, nethttp.StatusPartialContent)
}

// send answers with the bytes from..to of an object. When reading fails in the middle the connection is cut, so that nobody takes what came
// for the whole.
func (h *Handler) send(w nethttp.ResponseWriter, r *nethttp.Request, s object.Store, name string, from, to int64, status int) error {
	out := nethttp.NewResponseController(w)
	// A connection that takes no deadline cannot be hurried, and is waited for.
	hurry := func() { _ = out.SetWriteDeadline(clock.System{}.Now().Add(patience)) }
	defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // it may have more requests
	buf := make([]byte, min(block, to-from))
	for first := true; first || from < to; first = false {
		buf = buf[:min(int64(len(buf)), to-from)]
		if err := s.GetRange(r.Context(), name, buf, from); err != nil {
			if first {
				w.Header().Del("Content-Range")
				return err
			}
			if h.Failed != nil && r.Context().Err() == nil {
				h.Failed(r, err)
			}
			panic(nethttp.ErrAbortHandler)
		}
		if first {
			w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
			w.Header().Set("Content-Type", "application/octet-stream")
			w.WriteHeader(status)
		}
		hurry()
		if _, err := w.Write(buf); err != nil {
			return nil // who asked has gone
		}
		from += int64(len(buf))
	}
	return nil
}

// put takes a body.
func (h *Handler) put(w nethttp.ResponseWriter, r *nethttp.Request, s object.Store, name string) error {
	on, err := condition(r)
	if err != nil {
		return err
	}
	switch {
	case r.ContentLength < 0:
		return errs.New(errs.Invalid, "put object %s: the length of its body is not told", name)
	case r.ContentLength > largest:
		return errs.New(errs.Invalid, "put object %s: it has %d bytes, more than the %d that are taken", name, r.ContentLength, int64(largest))
	}
	body, done, err := h.receive(w, r, name)
	if err != nil {
		return err
	}
	err = s.Put(r.Context(), name, body, on)
	if e := done(); err == nil {
		err = e
	}
	if err == nil {
		w.WriteHeader(nethttp.StatusNoContent)
	}
	return err
}

// condition is that of a put.
func condition(r *nethttp.Request) (object.Condition, error) {
	none, match := r.Header.Get("If-None-Match"), r.Header.Get("If-Match")
	switch {
	case none == "" && match == "":
		return object.Always, nil
	case none == "*" && match == "":
		return object.IfAbsent, nil
	case none == "" && len(match) > 2 && match[0] == '"' && match[len(match)-1] == '"':
		return object.If(object.Generation(match[1 : len(match)-1])), nil
	}
	return object.Always, errs.New(errs.Invalid, "the condition of a put is If-None-Match: * or If-Match: \"generation\"")
}

// receive takes a body, long ones into a file, and compares it with its digest. done drops it.
func (h *Handler) receive(w nethttp.ResponseWriter, r *nethttp.Request, name string) (body object.Body, done func() error, err error) {
	in := nethttp.NewResponseController(w)
	// A connection that takes no deadline cannot be hurried, and is waited for.
	defer func() { _ = in.SetReadDeadline(time.Time{}) }() // else it would end the request while it is answered
	hurry := func() { _ = in.SetReadDeadline(clock.System{}.Now().Add(patience)) }
	sum := sha256.New()
	broken := func(err error) error {
		if r.Context().Err() != nil {
			return errs.With(errs.Canceled, err)
		}
		return errs.New(errs.Unavailable, "put object %s: its body broke off: %w", name, err)
	}
	check := func() error {
		if !agrees(r.Header.Get(digestHeader), [sha256.Size]byte(sum.Sum(nil))) {
			return errs.New(errs.Unavailable, "put object %s: it arrived damaged", name)
		}
		return nil
	}
	if r.ContentLength <= memoryBody {
		hurry()
		data := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, data); err != nil {
			return nil, nil, broken(err)
		}
		_, _ = sum.Write(data) // a hash takes everything
		return object.Bytes(data), func() error { return nil }, check()
	}
	f, err := h.FS.Create(filepath.Join(h.Temp, "put-"+rand.Text()))
	if err != nil {
		return nil, nil, err
	}
	done = func() error { return errors.Join(f.Close(), h.FS.Remove(f.Name())) }
	buf := make([]byte, block)
	for off := int64(0); off < r.ContentLength; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), r.ContentLength-off)]
		hurry()
		if _, err := io.ReadFull(r.Body, buf); err != nil {
			return nil, nil, errors.Join(broken(err), done())
		}
		_, _ = sum.Write(buf) // a hash takes everything
		if _, err := f.WriteAt(buf, off); err != nil {
			return nil, nil, errors.Join(err, done())
		}
	}
	if err := check(); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return sized{f, r.ContentLength}, done, nil
}

// sized is a file as the body of an object.
type sized struct {
	io.ReaderAt
	size int64
}

// Size implements object.Body.
func (s sized) Size() int64 { return s.size }
