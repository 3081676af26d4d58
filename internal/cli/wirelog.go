package cli

import (
	"bytes"
	"io"
)

// wireLog is the output of the standard library's logger, without what net/http's client says there of servers that speak first, as those of MySQL do:
// the error of the request tells the user.
type wireLog struct{ io.Writer }

// Write implements io.Writer.
func (w wireLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("Unsolicited response received on idle HTTP channel")) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}
