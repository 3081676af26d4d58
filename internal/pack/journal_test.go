package pack

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestTornTail damages journals by hand and checks the rule that tells a torn tail from corruption.
func TestTornTail(t *testing.T) {
	// Each frame is 40 bytes long: a header of 33, the form, two counts, and a record of type, length and one byte; padded.
	const size = 40
	at := func(i int) int64 { return segmentHeader + int64(i)*size }
	tests := []struct {
		name   string
		synced []bool // of the frames; frame i is written in one sync with its successors until one is true
		damage func(b []byte) []byte
		want   string
		class  errs.Code // of the error of Open, if want is ""
	}{
		{"untouched", []bool{true, true, true}, nil, ": 7=0 7=1 7=2", 0},
		{"cut within the last frame", []bool{true, true, true}, func(b []byte) []byte { return b[:at(2)+20] }, ": 7=0 7=1", 0},
		{"cut before the last frame", []bool{true, true, true}, func(b []byte) []byte { return b[:at(2)] }, ": 7=0 7=1", 0},
		{"flip in the last frame", []bool{true, true, true}, flip(at(2) + 35), ": 7=0 7=1", 0},
		{"flip in a length at the end", []bool{true, true, true}, flip(at(2)), ": 7=0 7=1", 0},
		{"flip in a synced frame that a later one vouches for", []bool{true, true, true}, flip(at(1) + 35), "", errs.Corrupt},
		{"flip in the first of a group that was synced together", []bool{false, false, true}, flip(at(0) + 35), ":", 0},
		{"flip in the second of such a group", []bool{false, false, true}, flip(at(1) + 35), ": 7=0", 0},
		{"garbage behind the end", []bool{true, true, true}, func(b []byte) []byte {
			return append(b[:at(3)], strings.Repeat("garbage!", 40)...)
		}, ": 7=0 7=1 7=2", 0},
		{"flip in the header", []bool{true, true, true}, flip(20), "", errs.Corrupt},
		{"only a part of the header", []bool{true}, func(b []byte) []byte { return b[:30] }, "", errs.Corrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := vfs.NewMem()
			s := newStore(t, mem, testDir)
			for i, synced := range tt.synced {
				lsn, err := s.Append(t.Context(), nil, rec(fmt.Sprint(i)))
				if err != nil {
					t.Fatal(err)
				}
				if s.segs[0].offset(lsn) != at(i) {
					t.Fatalf("frame %d is at byte %d, want %d", i, s.segs[0].offset(lsn), at(i))
				}
				if synced {
					if err := s.Wait(t.Context(), lsn); err != nil {
						t.Fatal(err)
					}
				}
			}
			path := filepath.Join(testDir, journalDir, segmentName(1))
			b, err := vfs.ReadFile(mem, path)
			if err != nil {
				t.Fatal(err)
			}
			if tt.damage != nil {
				b = tt.damage(b)
			}
			if err := vfs.WriteFile(mem, path, b); err != nil {
				t.Fatal(err)
			}
			for _, readOnly := range []bool{true, false, false} {
				s, err := Open(t.Context(), mem, testDir, Options{ReadOnly: readOnly})
				if tt.want == "" {
					if !errs.Is(err, tt.class) || !strings.Contains(err.Error(), segmentName(1)) {
						t.Fatalf("Open: %v, want class %s and the file's name", err, tt.class)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				wantRecovered(t, s, tt.want)
				mustClose(t, s)
			}
		})
	}
}

func flip(at int64) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 4
		return b
	}
}

// TestRecoveryBeginsAnEpoch checks that what was cut off does not come back when new frames are shorter than it.
func TestRecoveryBeginsAnEpoch(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	for i := range 5 {
		if _, err := s.Append(t.Context(), nil, rec(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.j.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testDir, journalDir, segmentName(1))
	b, err := vfs.ReadFile(mem, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(mem, path, flip(segmentHeader+40*2+34)(b)); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, mem, testDir, Options{})
	wantRecovered(t, s, ": 7=0 7=1")
	if s.j.epoch != 2 {
		t.Errorf("epoch %d after a torn tail, want 2", s.j.epoch)
	}
	commit(t, s, nil, rec("x"))
	s = openStore(t, mem, testDir, Options{})
	wantRecovered(t, s, ": 7=0 7=1 7=x")
	if got := mem.Files(); strings.Contains(got, segmentName(1)) {
		t.Errorf("replaced segments are still there:\n%s", got)
	}
}

// TestManyShortSessions checks that clean sessions share a segment.
func TestManyShortSessions(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	mustClose(t, s)
	want := ":"
	for i := range 20 {
		s := openStore(t, mem, testDir, Options{})
		wantRecovered(t, s, want)
		if i%2 == 0 {
			commit(t, s, nil, rec(fmt.Sprint(i)))
			want += fmt.Sprintf(" 7=%d", i)
		}
		mustClose(t, s)
	}
	if got := mem.Files(); strings.Count(got, segmentExt) != 1 {
		t.Errorf("files:\n%swant one segment", got)
	}
}

func TestFormatFlags(t *testing.T) {
	tests := []struct {
		text            string
		write, readOnly errs.Code
		ok              bool // Internal is the zero code, so success is told apart here
	}{
		{"stemma database\nversion 1\nrequired journal-1 page-2 weights-2\n", 0, 0, true},
		{"stemma database\nversion 1\nrequired page-2 weights-2\noptional whatever\n", 0, 0, true},
		{"stemma database\nversion 2\n", errs.TooNew, errs.TooNew, false},
		{"stemma database\nversion 1\nrequired page-2 weights-2 quantum\n", errs.TooNew, errs.TooNew, false},
		{"stemma database\nversion 1\nrequired page-2 weights-2\nread-only quantum\n", errs.TooNew, 0, false},
		{"stemma database\nversion 1\nrequired journal-1 pack-1 sha256\n", errs.Unsupported, errs.Unsupported, false},        // pages of version 1
		{"stemma database\nversion 1\nrequired journal-1 pack-1 page-2 sha256\n", errs.Unsupported, errs.Unsupported, false}, // leaves cut by other weights
		{"stemma database\n", errs.Corrupt, errs.Corrupt, false},
		{"something else", errs.Corrupt, errs.Corrupt, false},
	}
	for _, tt := range tests {
		mem := vfs.NewMem()
		if err := Create(t.Context(), mem, testDir); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(mem, filepath.Join(testDir, formatFile), []byte(tt.text)); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{false, true} {
			want := tt.write
			if readOnly {
				want = tt.readOnly
			}
			s, err := Open(t.Context(), mem, testDir, Options{ReadOnly: readOnly})
			if (err == nil) != (tt.ok || want == 0) || err != nil && errs.CodeOf(err) != want {
				t.Errorf("%q, read-only %v: %v, want class %s", tt.text, readOnly, err, want)
			}
			if err == nil {
				mustClose(t, s)
			}
		}
	}
	if _, err := Open(t.Context(), vfs.NewMem(), "nothing", Options{}); !errs.Is(err, errs.NotFound) {
		t.Errorf("Open of nothing: %v", err)
	}
}
