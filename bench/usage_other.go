//go:build !unix

package main

import (
	"io/fs"
	"os"
	"time"
)

// maxResident is not known.
func maxResident(*os.ProcessState) int64 { return 0 }

// allocated is the file's length.
func allocated(info fs.FileInfo) int64 { return info.Size() }

// processorTime is not known.
func processorTime() time.Duration { return 0 }
