package cli

import (
	"context"
	"errors"

	"github.com/stemmadb/stemma/internal/errs"
)

// The exit status, by meaning. docs/exit-codes.md explains them; 0 is success.
const (
	exitFailed      = 1   // something went wrong, or the answer is "they differ" or "there is none"
	exitUsage       = 2   // the command line makes no sense
	exitNotFound    = 3   // what was named does not exist
	exitConflict    = 4   // something stands against it
	exitCorrupt     = 5   // stored bytes are not what they were
	exitUnavailable = 6   // locked by another process, or not reachable
	exitDenied      = 7   // not allowed, or read-only
	exitNoSpace     = 8   // the disk or a quota is full
	exitUnsupported = 9   // not offered by this program or this version of it
	exitCanceled    = 130 // interrupted, as shells count SIGINT
)

// statusOf is the exit status of an error of class c. Classes that are not here exit with exitFailed; the test sees to it that there
// are none.
func statusOf(c errs.Code) (status int, known bool) {
	switch c {
	case errs.Internal, errs.NothingToDo:
		return exitFailed, true
	case errs.Invalid:
		return exitUsage, true
	case errs.NotFound:
		return exitNotFound, true
	case errs.Exists, errs.Conflict, errs.DuplicateKey, errs.Constraint:
		return exitConflict, true
	case errs.Corrupt:
		return exitCorrupt, true
	case errs.Locked, errs.Unavailable:
		return exitUnavailable, true
	case errs.ReadOnly, errs.Denied:
		return exitDenied, true
	case errs.NoSpace:
		return exitNoSpace, true
	case errs.Unsupported, errs.TooNew:
		return exitUnsupported, true
	case errs.Canceled:
		return exitCanceled, true
	}
	return exitFailed, false
}

// exitStatus is the exit status of a program that ends with err. As dolt there are only 0 and 1.
func exitStatus(err error, dolt bool) int {
	switch {
	case err == nil:
		return 0
	case dolt:
		return exitFailed
	case errors.Is(err, context.Canceled) && errs.Is(err, errs.Internal):
		return exitCanceled
	}
	status, _ := statusOf(errs.CodeOf(err))
	return status
}
