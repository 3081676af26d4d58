//go:build !unix

package torture

import "os"

// abort ends a program.
var abort = os.Kill
