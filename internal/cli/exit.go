package cli

import (
	"context"
	"errors"
	"strings"

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

// envErrorClass is set by programs that want to know the class of an error: several share an exit status. The last line on standard error is then
// classWord and the class.
const (
	envErrorClass = "STEMMA_ERROR_CLASS"
	classWord     = "class: "
)

// parseReport takes apart what a program said that was started with envErrorClass: its message, and the class of its error. Without a class it is
// Unavailable.
func parseReport(said string) (message string, class errs.Code) {
	said = strings.TrimSpace(said)
	class = errs.Unavailable
	last := said[strings.LastIndexByte(said, '\n')+1:]
	if name, ok := strings.CutPrefix(last, classWord); ok {
		if c, ok := errs.ParseCode(name); ok {
			class = c
		}
		said = strings.TrimSpace(strings.TrimSuffix(said, last))
	}
	return said, class
}

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
