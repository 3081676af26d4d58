package session

import (
	"path/filepath"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// MySQL's numbers of errors of files.
const (
	erCannotRead   = 13
	erFileNotFound = 29
)

// FilesDir is the directory whose files statements may name, @@secure_file_priv; "" is every place.
func FilesDir() (string, error) {
	_, v, ok := sql.SystemVariables.GetGlobal("secure_file_priv")
	if !ok || v == nil {
		return "", nil
	}
	dir, ok := v.(string)
	if !ok || dir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", errs.New(errs.Internal, "find the directory secure_file_priv: %w", err)
	}
	return dir, nil
}

// Files are the files of the server that statements may name.
func Files() (vfs.FS, error) {
	dir, err := FilesDir()
	if err != nil || dir == "" {
		return vfs.OS{}, err
	}
	return vfs.Within(vfs.OS{}, dir), nil
}

// FileError is an error about a file that a statement names, with MySQL's number.
func FileError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errs.Is(err, errs.NotFound):
		return mysql.NewSQLError(erFileNotFound, "HY000", "File '%s' not found", name)
	case errs.Is(err, errs.Denied):
		if dir, _ := FilesDir(); dir != "" {
			return mysql.NewSQLError(erOptionPrevents, "HY000", "%s", err.Error()) // it says which directory
		}
	}
	return mysql.NewSQLError(erCannotRead, "HY000", "Can't get stat of '%s' (%s)", name, err.Error())
}
