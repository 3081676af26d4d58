package op

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/vfs"
)

// rejectsFile is a CSV file of the lines that an import passed over: number, reason, the line as it stands. It is made with the first
// one, and removed when the import fails.
type rejectsFile struct {
	fs   vfs.FS
	name string // as the user calls it
	path string // its path
	f    vfs.File
	w    io.Writer
}

func (r *rejectsFile) add(raw []byte, bad *ingest.LineError) error {
	if r.f == nil {
		f, err := r.fs.Create(r.path)
		if err != nil {
			return errs.New(errs.CodeOf(err), "write %s, the lines that cannot be loaded: %w; --rejects names another file", r.name, err)
		}
		r.f, r.w = f, io.NewOffsetWriter(f, 0)
		if _, err := io.WriteString(r.w, "line,reason,record\n"); err != nil {
			return err
		}
	}
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	line := strconv.FormatInt(bad.Line, 10) + "," + quote(bad.Reason()) + "," + quote(strings.TrimRight(string(raw), "\r\n")) + "\n"
	_, err := io.WriteString(r.w, line)
	return err
}

// close closes the file; keep says that the import went well.
func (r *rejectsFile) close(keep bool) error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	if !keep {
		err = errors.Join(err, r.fs.Remove(r.path))
	}
	return err
}
