package ingest

import (
	"compress/gzip"
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// FileType is what a file is made of.
type FileType uint8

// The file types. CSV stands for all files of separated fields.
const (
	CSV     FileType = iota
	JSON             // an array of objects, or {"rows": [object, …]}
	JSONL            // an object a line
	Parquet          // Apache Parquet
	Arrow            // the file format of Arrow IPC, which Feather's version 2 is
	Arrows           // the stream format of Arrow IPC
	XLSX             // a sheet of an Office Open XML workbook
)

// Compression is how a file of text is compressed as a whole.
type Compression uint8

// The compressions.
const (
	Plain Compression = iota
	Gzip
	Zstd
)

// FileTypes are the words for file types: file name extensions, and what a user may ask for.
var FileTypes = []string{"csv", "psv", "tsv", "jsonl", "json", "parquet", "arrow", "arrows", "xlsx"}

// types are the meanings of those words and of other extensions.
var types = map[string]Format{
	"csv": {Comma: ','}, "txt": {Comma: ','}, "psv": {Comma: '|'}, "tsv": {Comma: '\t'},
	"json": {Type: JSON}, "jsonl": {Type: JSONL}, "ndjson": {Type: JSONL},
	"parquet": {Type: Parquet}, "pq": {Type: Parquet},
	"arrow": {Type: Arrow}, "feather": {Type: Arrow}, "arrows": {Type: Arrows},
	"xlsx": {Type: XLSX},
}

// IsFileName tells whether a word is a file's name rather than a table's: whether it has an extension, known or not.
func IsFileName(s string) bool { return strings.ContainsAny(s, `/\`) || len(filepath.Ext(s)) > 1 }

// HasType tells whether the extension of a file's name is that of a type.
func HasType(name string) bool {
	ext, _, _ := extensions(name)
	_, ok := types[ext]
	return ok
}

// extensions are the type and the compression that the end of a file's name stands for, and what is before.
func extensions(name string) (ext string, c Compression, base string) {
	base = filepath.Base(name)
	next := func() string {
		e := filepath.Ext(base)
		base = strings.TrimSuffix(base, e)
		return strings.TrimPrefix(strings.ToLower(e), ".")
	}
	switch ext = next(); ext {
	case "gz":
		return next(), Gzip, base
	case "zst", "zstd":
		return next(), Zstd, base
	}
	return ext, Plain, base
}

// BaseName is a file's name without its directory and the extensions of type and compression.
func BaseName(name string) string {
	_, _, base := extensions(name)
	return base
}

// FormatOf is the format of a file by its name; fileType, one of FileTypes, overrules the name's type unless it is "". A name without
// a known extension means CSV.
func FormatOf(name, fileType string) (Format, error) {
	ext, c, _ := extensions(name)
	if fileType != "" {
		ext = fileType
	}
	f, ok := types[ext]
	switch {
	case ok:
	case fileType != "":
		return f, errs.New(errs.Invalid, "--file-type %q: want one of %s", fileType, strings.Join(FileTypes, ", "))
	case ext == "xls" || ext == "ods" || ext == "sql" || ext == "orc" || ext == "avro" || ext == "bz2" || ext == "xz" || ext == "zip":
		return f, errs.New(errs.Unsupported, "%s: files of type %s are not understood, those of %s are; --file-type tells what it is in truth", name, ext,
			strings.Join(FileTypes, ", "))
	default:
		f = types["csv"]
	}
	if f.Compression = c; c != Plain && !f.text() {
		return f, errs.New(errs.Unsupported, "%s: %s files are compressed inside, and as a whole they are not read", name, ext)
	}
	return f, nil
}

// text tells whether files of the format are text.
func (f *Format) text() bool { return f.Type <= JSONL }

// Columnar tells whether files of the format are columns with types of their own.
func (f *Format) Columnar() bool { return f.Type >= Parquet && f.Type <= Arrows }

// compress wraps w, to which what is written goes compressed. The writer must be closed; w stays open.
func (f *Format) compress(w io.Writer) (io.WriteCloser, error) {
	switch f.Compression {
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	return nopCloser{w}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Opened is a file that is ready to be read, and must be closed.
type Opened struct {
	Source
	Format Format // of the Source: CSV, JSONL, Parquet or Arrow, not compressed
	spool  *Spool
}

// Prepare makes a file readable at any place and in one of the types that Load and LoadArrow take: what is compressed, JSON or a
// workbook is copied to a new file at path on fs first, a record a line.
func Prepare(ctx context.Context, fs vfs.FS, path string, src Source, f Format, sheet string) (_ *Opened, err error) {
	o := &Opened{Source: src, Format: f}
	var r io.Reader
	if f.Compression != Plain {
		d, err := decompress(src, f.Compression)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	}
	switch {
	case f.Type == JSON:
		if r == nil {
			r = io.NewSectionReader(src.R, 0, src.Size)
		}
		o.spool, err = jsonToLines(ctx, fs, path, src.Name, r)
		o.Format.Type = JSONL
	case f.Type == XLSX:
		o.spool, err = sheetToLines(ctx, fs, path, src, sheet)
		o.Format.Type = JSONL
	case r != nil:
		if o.spool, err = NewSpool(ctx, fs, path, src.Name, r); err != nil {
			err = errs.New(errs.Invalid, "read %s: %w: is the file damaged or cut off?", src.Name, err)
		}
	}
	if err != nil {
		return nil, err
	}
	o.Format.Compression = Plain
	if o.spool != nil {
		o.Source = o.spool.Source
	}
	return o, nil
}

// Close removes the copy, if there is one.
func (o *Opened) Close() error {
	if o.spool == nil {
		return nil
	}
	return o.spool.Close()
}

// decompress reads a compressed file.
func decompress(src Source, c Compression) (io.ReadCloser, error) {
	raw := io.NewSectionReader(src.R, 0, src.Size)
	if c == Gzip {
		r, err := gzip.NewReader(raw)
		if err != nil {
			return nil, errs.New(errs.Invalid, "read %s: %w: it is no gzip file", src.Name, err)
		}
		return r, nil
	}
	r, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, errs.New(errs.Invalid, "read %s: %w: it is no zstd file", src.Name, err)
	}
	return r.IOReadCloser(), nil
}
