// Package http carries an object store over HTTP: a client, which is a store, and the handler that answers it for any other store. It is what
// http:// and https:// remotes speak.
//
//	GET    <base>/objects?prefix=P    {"objects": [{"name": N, "size": n}, …]}, by name
//	GET    <base>/objects/<name>      the bytes; ETag is the generation in quotes; of a range, when the header Range asks for one of the form a-b
//	HEAD   <base>/objects/<name>      Content-Length
//	PUT    <base>/objects/<name>      If-None-Match: * and If-Match: "<generation>" are the conditions
//	DELETE <base>/objects/<name>
//
// Names are escaped as parts of paths are. A whole body, in either direction, has the header Content-Digest of RFC 9530 with its SHA-256, which
// the other side checks. Credentials are those of Basic authentication. What goes wrong is told by a status and by {"class": C, "message": M},
// where C is a class of package errs; for HEAD the header Stemma-Error holds that.
package http

import (
	"crypto/sha256"
	"encoding/base64"
	nethttp "net/http"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Headers.
const (
	digestHeader = "Content-Digest"
	digestPrefix = "sha-256=:"
	errorHeader  = "Stemma-Error"
)

// objectsPath is what comes behind the base of URLs.
const objectsPath = "/objects"

// digestOf is the header of a body with that hash.
func digestOf(sum [sha256.Size]byte) string {
	return digestPrefix + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// agrees tells whether a header of a body with that hash says the same, or nothing about SHA-256.
func agrees(header string, sum [sha256.Size]byte) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); strings.HasPrefix(part, digestPrefix) {
			return part == digestOf(sum)
		}
	}
	return true
}

// failure is the body of an answer that is an error.
type failure struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// listing is the body of a list.
type listing struct {
	Objects []listed `json:"objects"`
}

type listed struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Status is the HTTP status of an error's class.
func Status(c errs.Code) int {
	switch c {
	case errs.Invalid, errs.Constraint, errs.DuplicateKey, errs.NothingToDo, errs.Canceled:
		return nethttp.StatusBadRequest
	case errs.NotFound:
		return nethttp.StatusNotFound
	case errs.Conflict, errs.Exists:
		return nethttp.StatusPreconditionFailed
	case errs.Unsupported, errs.TooNew:
		return nethttp.StatusNotImplemented
	case errs.Denied, errs.ReadOnly:
		return nethttp.StatusForbidden
	case errs.NoSpace:
		return nethttp.StatusInsufficientStorage
	case errs.Locked, errs.Unavailable:
		return nethttp.StatusServiceUnavailable
	}
	return nethttp.StatusInternalServerError
}
