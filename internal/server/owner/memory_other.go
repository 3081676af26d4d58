//go:build !unix

package owner

import (
	"net"
	"os"

	"github.com/stemmadb/stemma/internal/errs"
)

func receiveFile(net.Conn) (*os.File, error) {
	return nil, errs.New(errs.Unsupported, "receive a file: this system has no descriptors that are sent")
}
