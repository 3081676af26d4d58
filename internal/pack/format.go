package pack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

const (
	formatFile    = "FORMAT"
	journalDir    = "journal"
	packsDir      = "packs"
	formatVersion = 1

	// What older directories lack, and cannot be told from what is in them.
	pageFeature    = "page-2"     // pages of version 2
	weightsFeature = "weights-2"  // leaves are cut by weights in which an out-of-line cell counts for 192 bytes
	listsFeature   = "pack-lists" // the journal lists the packs, so that others are known to be left over

	// What most directories lack.
	dictionaryFeature = "dictionary-1" // packs have dictionaries
	partialFeature    = "partial"      // chunks that are reached may be elsewhere, as the file "partial" says
)

// format is the content of the file FORMAT: which programs may open the directory.
type format struct {
	version  int
	required []string // a program that does not know one of these cannot open the directory
	readOnly []string // … can read it but not write
	optional []string // … can ignore it
}

// current is the format that this program writes.
func current() format {
	return format{version: formatVersion, required: []string{"journal-1", listsFeature, "pack-1", pageFeature, "sha256", weightsFeature}}
}

func (f format) encode() []byte {
	line := func(name string, flags []string) string {
		return strings.TrimRight(name+" "+strings.Join(flags, " "), " ") + "\n"
	}
	return []byte(fmt.Sprintf("stemma database\nversion %d\n", f.version) +
		line("required", f.required) + line("read-only", f.readOnly) + line("optional", f.optional))
}

// parseFormat reads what encode writes. Lines with unknown first words are of class Corrupt: what newer versions add they add as flags.
func parseFormat(data []byte) (format, error) {
	var f format
	bad := func(why string) (format, error) {
		return format{}, errs.New(errs.Corrupt, "read FORMAT: %s", why)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != "stemma database" {
		return bad("it does not begin with the line \"stemma database\"")
	}
	for sc.Scan() {
		words := strings.Fields(sc.Text())
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "version":
			n, err := strconv.Atoi(strings.Join(words[1:], " "))
			if err != nil || n < 1 {
				return bad("its version is not a number")
			}
			f.version = n
		case "required":
			f.required = append(f.required, words[1:]...)
		case "read-only":
			f.readOnly = append(f.readOnly, words[1:]...)
		case "optional":
			f.optional = append(f.optional, words[1:]...)
		default:
			return bad(fmt.Sprintf("unknown line %q", words[0]))
		}
	}
	if err := sc.Err(); err != nil {
		return bad(err.Error())
	}
	if f.version == 0 {
		return bad("it names no version")
	}
	return f, nil
}

// admits tells whether this program may open the directory so.
func (f format) admits(readOnly bool) error {
	if f.version > formatVersion {
		return errs.New(errs.TooNew, "the database has format version %d and this program knows %d; use a newer stemma", f.version, formatVersion)
	}
	known := current()
	known.required = append(known.required, dictionaryFeature, partialFeature)
	for _, flag := range f.required {
		if !slices.Contains(known.required, flag) {
			return errs.New(errs.TooNew, "the database requires the feature %q, which this program does not know; use a newer stemma", flag)
		}
	}
	for _, flag := range f.readOnly {
		if !readOnly && !slices.Contains(known.readOnly, flag) {
			return errs.New(errs.TooNew, "the database can be written only with the feature %q, which this program does not know; open it for reading, or use a newer stemma", flag)
		}
	}
	for _, flag := range []string{pageFeature, weightsFeature} {
		if !slices.Contains(f.required, flag) {
			return errs.New(errs.Unsupported, "the database was made before the feature %q, and this program no longer reads what came before; %s", flag, chunk.OldAdvice)
		}
	}
	return nil
}

// Create makes an empty store in the directory dir, which need not exist. It is of class Exists when dir holds a store already.
func Create(ctx context.Context, fsys vfs.FS, dir string) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	name := filepath.Join(dir, formatFile)
	if _, err := fsys.Stat(name); err == nil {
		return errs.New(errs.Exists, "create store %s: there is one already", dir)
	} else if !errs.Is(err, errs.NotFound) {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	for _, sub := range []string{journalDir, packsDir} {
		if err := fsys.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return fmt.Errorf("create store %s: %w", dir, err)
		}
	}
	if err := checkVacant(fsys, dir); err != nil {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	// The journal has a segment from the beginning, so that a store without one is known to be damaged.
	if err := firstSegment(fsys, filepath.Join(dir, journalDir)); err != nil {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	// FORMAT comes last: a directory without it is no store.
	if err := vfs.WriteFile(fsys, name, current().encode()); err != nil {
		return fmt.Errorf("create store %s: %w", dir, err)
	}
	return nil
}

// PartialFile is the file beside FORMAT that says what a store with the feature "partial" lacks. Its content is package sync's.
const PartialFile = "partial"

// SetPartial notes in FORMAT, durably, whether chunks that are reached may be missing in the store in dir. Who makes a store partial does so
// before it lacks any, and who completes one after it lacks none.
func SetPartial(fsys vfs.FS, dir string, on bool) error {
	return require(fsys, dir, partialFeature, on)
}

// changingFormat is held by who replaces a FORMAT, so that nobody undoes what another notes.
var changingFormat sync.Mutex

// require notes in FORMAT, durably, whether the store in dir requires a feature.
func require(fsys vfs.FS, dir, feature string, on bool) error {
	changingFormat.Lock()
	defer changingFormat.Unlock()
	f, err := checkFormat(fsys, dir, false)
	if err != nil || slices.Contains(f.required, feature) == on {
		return err
	}
	f.set(feature, on)
	return vfs.WriteFile(fsys, filepath.Join(dir, formatFile), f.encode())
}

// set lets the format require a feature, or not.
func (f *format) set(feature string, on bool) {
	f.required = slices.DeleteFunc(f.required, func(x string) bool { return x == feature })
	if on {
		f.required = append(f.required, feature)
		slices.Sort(f.required)
	}
}

// checkVacant tells whether the directory of a store without FORMAT holds no more than an interrupted Create leaves.
func checkVacant(fsys vfs.FS, dir string) error {
	for _, sub := range []string{journalDir, packsDir} {
		names, err := fsys.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			path := filepath.Join(dir, sub, name)
			info, err := fsys.Stat(path)
			if err != nil {
				return err
			}
			if !strings.HasSuffix(name, tmpExt) && info.Size != segmentHeader {
				return errs.New(errs.Corrupt, "%s is there, but the file FORMAT is missing", path)
			}
		}
	}
	return nil
}

// checkFormat reads FORMAT and decides whether to go on.
func checkFormat(fsys vfs.FS, dir string, readOnly bool) (format, error) {
	data, err := vfs.ReadFile(fsys, filepath.Join(dir, formatFile))
	if errs.Is(err, errs.NotFound) {
		return format{}, errs.New(errs.NotFound, "there is no database in it")
	}
	if err != nil {
		return format{}, err
	}
	f, err := parseFormat(data)
	if err != nil {
		return format{}, err
	}
	return f, f.admits(readOnly)
}
