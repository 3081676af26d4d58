package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// sheetToLines copies the rows of a sheet of a workbook into a file of a JSON object each, so that line n is row n of the sheet. The
// first row that is not empty has the names. sheet "" is the first one. Cells keep what they hold, not how they are shown: numbers,
// texts, truth values, and ISO dates and times for numbers with a date's format.
func sheetToLines(ctx context.Context, fs vfs.FS, path string, src Source, sheet string) (_ *Spool, err error) {
	f, err := excelize.OpenReader(io.NewSectionReader(src.R, 0, src.Size), excelize.Options{RawCellValue: true})
	if err != nil {
		return nil, errs.New(errs.Invalid, "read %s: %w: it is no workbook of type xlsx, or it is damaged or locked with a password", src.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sheets := f.GetSheetList()
	if sheet == "" && len(sheets) > 0 {
		sheet = sheets[0]
	}
	if i, err := f.GetSheetIndex(sheet); err != nil || i < 0 {
		return nil, errs.New(errs.NotFound, "read %s: it has no sheet %s; it has %s", src.Name, sheet, strings.Join(sheets, ", "))
	}
	s := &sheetReader{f: f, sheet: sheet, name: src.Name, dates: map[int]bool{}}
	props, err := f.GetWorkbookProps()
	if err != nil {
		return nil, errs.New(errs.Invalid, "read %s: %w", src.Name, err)
	}
	s.from1904 = props.Date1904 != nil && *props.Date1904
	return newLines(ctx, fs, path, src.Name, "row", s.lines)
}

// sheetReader reads a sheet.
type sheetReader struct {
	f        *excelize.File
	sheet    string
	name     string
	from1904 bool
	dates    map[int]bool // by style: whether it shows a number as a date or time
	heads    []string
}

// lines gives each row as a line.
func (s *sheetReader) lines(emit func([]byte) error) (err error) {
	rows, err := s.f.Rows(s.sheet)
	if err != nil {
		return errs.New(errs.Invalid, "read %s: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var line []byte
	for n := int64(1); rows.Next(); n++ {
		texts, err := rows.Columns()
		if err != nil {
			return &LineError{File: s.name, Unit: "row", Line: n, Err: invalid("%w", err)}
		}
		line = line[:0]
		switch {
		case strings.Join(texts, "") == "":
		case s.heads == nil:
			if err := s.header(texts, n); err != nil {
				return err
			}
		default:
			if line, err = s.object(line, texts, n); err != nil {
				return err
			}
		}
		if err := emit(line); err != nil {
			return err
		}
	}
	return rows.Error()
}

func (s *sheetReader) header(texts []string, n int64) error {
	for i, t := range texts {
		if t = strings.TrimSpace(t); t == "" {
			return &LineError{File: s.name, Unit: "row", Line: n, Err: invalid("the header of column %d is empty", i+1)}
		}
		s.heads = append(s.heads, t)
	}
	if err := checkNames(s.name, s.heads); err != nil {
		return err
	}
	return nil
}

// object appends a row as an object.
func (s *sheetReader) object(dst []byte, texts []string, n int64) ([]byte, error) {
	dst = append(dst, '{')
	for i, t := range texts {
		fail := func(err error) error {
			name := strconv.Itoa(i + 1)
			if i < len(s.heads) {
				name = s.heads[i]
			}
			return &LineError{File: s.name, Unit: "row", Line: n, Column: name, Err: err}
		}
		if t == "" && i >= len(s.heads) {
			continue
		}
		if i >= len(s.heads) {
			return dst, fail(invalid("the column has no header"))
		}
		v, err := s.cell(t, i+1, int(n))
		if err != nil {
			return dst, fail(err)
		}
		head, err := json.Marshal(s.heads[i])
		if err != nil {
			return dst, fail(err)
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, head...), ':'), v...)
	}
	return append(dst, '}'), nil
}

// cell is the value of a cell in JSON.
func (s *sheetReader) cell(text string, col, row int) ([]byte, error) {
	if text == "" {
		return []byte("null"), nil
	}
	at, err := excelize.CoordinatesToCellName(col, row)
	if err != nil {
		return nil, invalid("%w", err)
	}
	kind, err := s.f.GetCellType(s.sheet, at)
	if err != nil {
		return nil, invalid("%w", err)
	}
	switch kind {
	case excelize.CellTypeBool:
		if text == "1" || strings.EqualFold(text, "true") {
			return []byte("true"), nil
		}
		return []byte("false"), nil
	case excelize.CellTypeError:
		return nil, invalid("the cell %s holds the error %s", at, text)
	case excelize.CellTypeNumber, excelize.CellTypeUnset, excelize.CellTypeDate:
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			break
		}
		date, err := s.isDate(at)
		if err != nil {
			return nil, err
		}
		if !date {
			if !json.Valid([]byte(text)) {
				text = strconv.FormatFloat(number, 'g', -1, 64)
			}
			return []byte(text), nil
		}
		t, err := excelize.ExcelDateToTime(number, s.from1904)
		if err != nil {
			return nil, invalid("%w", err)
		}
		t = t.Round(time.Microsecond)
		switch {
		case number < 1 && !s.from1904:
			text = t.Format("15:04:05.999999")
		case t.Equal(t.Truncate(24 * time.Hour)):
			text = t.Format(time.DateOnly)
		default:
			text = t.Format("2006-01-02 15:04:05.999999")
		}
	}
	return json.Marshal(text)
}

// isDate tells whether a cell's number is shown as a date or a time.
func (s *sheetReader) isDate(at string) (bool, error) {
	n, err := s.f.GetCellStyle(s.sheet, at)
	if err != nil {
		return false, invalid("%w", err)
	}
	if is, ok := s.dates[n]; ok {
		return is, nil
	}
	style, err := s.f.GetStyle(n)
	if err != nil {
		return false, invalid("%w", err)
	}
	is := style.NumFmt >= 14 && style.NumFmt <= 22 || style.NumFmt >= 27 && style.NumFmt <= 36 || style.NumFmt >= 45 && style.NumFmt <= 47 ||
		style.NumFmt >= 50 && style.NumFmt <= 58 || style.CustomNumFmt != nil && dateFormat(*style.CustomNumFmt)
	s.dates[n] = is
	return is, nil
}

// dateFormat tells whether a number format of the user's own has parts of a date or a time.
func dateFormat(f string) bool {
	quoted := false
	for i := 0; i < len(f); i++ {
		switch c := f[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\\' || c == '_' || c == '*':
			i++
		case c == '[':
			end := strings.IndexByte(f[i:], ']')
			if end < 0 {
				return false
			}
			if in := strings.ToLower(f[i+1 : i+end]); in != "" && strings.Trim(in, "hms") == "" {
				return true
			}
			i += end
		case strings.IndexByte("dDmMyYhHsS", c) >= 0:
			return true
		}
	}
	return false
}
