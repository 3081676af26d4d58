package data

import (
	"errors"
	"io"
	"os"
)

// WriteFile makes a file of what write writes. The file has its name only when all of it is there.
func WriteFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}

// Numbers are 0 to n-1.
func Numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
