//go:build !linux

package owner

import (
	"os"

	"github.com/stemmadb/stemma/internal/errs"
)

const hasMemory = false

func noMemory() error { return errs.New(errs.Unsupported, "this system has no files of memory") }

// Make makes a file of memory, which only Linux has.
func (*Memory) Make(int64) (*os.File, error) { return nil, noMemory() }

func (*Memory) receive() error { return noMemory() }

// Give sends files to the client.
func (*Memory) Give([]*os.File) error { return noMemory() }
