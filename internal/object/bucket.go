package object

import (
	"strings"
)

// Bucket is a place in a bucket of a server, for the stores that are in one.
type Bucket struct {
	Scheme string // of its URL
	Name   string // of the bucket
	Prefix string // before the names of objects, with its slash at the end; "" for none
	Server string // for messages; "" for the one that the scheme stands for
}

// InBucket is the place below path, which is the whole bucket when that is empty.
func InBucket(scheme, name, path string) Bucket {
	b := Bucket{Scheme: scheme, Name: name}
	if path = strings.Trim(path, "/"); path != "" {
		b.Prefix = path + "/"
	}
	return b
}

// URL is where the place is.
func (b Bucket) URL() string { return strings.TrimSuffix(b.Scheme+"://"+b.Name+"/"+b.Prefix, "/") }

// At is a request for an object, or for those whose names begin with name, for messages; what is how the server calls it.
func (b Bucket) At(what, name string) string {
	if name == "" {
		return what + " of " + b.URL()
	}
	return what + " of " + b.URL() + "/" + name
}

// ErrNoBucket is the error for a request, as At has it, in a bucket that is not there.
func (b Bucket) ErrNoBucket(what, name string) error {
	where := ""
	if b.Server != "" {
		where = " at " + b.Server
	}
	return ErrNoPlace("%s: there is no bucket '%s'%s; make it first, or correct the name", b.At(what, name), b.Name, where)
}
