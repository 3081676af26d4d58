package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/op"
)

// newProgress shows work on w: as bars with rate and remaining time when w is a terminal, else as one line for each piece of work
// that took a while, when it is done. Quiet shows nothing.
func newProgress(w io.Writer, quiet bool) op.Progress {
	if quiet || w == nil {
		return nil
	}
	f, ok := w.(*os.File)
	p := &progress{w: w, least: worthALine}
	p.bars.Store(ok && term.IsTerminal(int(f.Fd())))
	return p
}

// worthALine is how long work must have taken to be told of where there is no terminal.
const worthALine = time.Second

// firstFrame is how long work goes on before its bar is drawn: a rate of less time says nothing.
const firstFrame = 300 * time.Millisecond

type progress struct {
	w     io.Writer
	bars  atomic.Bool   // whether w is a terminal that can be drawn on
	least time.Duration // worthALine, or less in tests
	mu    sync.Mutex    // one line at a time
}

// Start begins a piece of work.
func (p *progress) Start(title string, total int64, unit string) op.Task {
	t := &task{p: p, title: title, unit: unit, began: clock.System{}.Now()}
	if p.bars.Load() {
		size := total
		if size <= 0 {
			size = -1 // the library's notation of unknown
		}
		opts := []progressbar.Option{
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(title),
			progressbar.OptionThrottle(100 * time.Millisecond),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(30),
		}
		if unit == "bytes" {
			opts = append(opts, progressbar.OptionShowBytes(true))
		} else {
			opts = append(opts, progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit))
		}
		t.bar = progressbar.NewOptions64(size, opts...)
		t.bar.StartWithoutRender()
	}
	return t
}

// Tell implements op.Teller: it writes a line.
func (p *progress) Tell(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars.Load() {
		fmt.Fprint(p.w, "\r\x1b[K") // of a bar that is drawn again
	}
	fmt.Fprintln(p.w, text)
}

type task struct {
	p           *progress
	title, unit string
	began       time.Time
	n           atomic.Int64
	undrawn     atomic.Int64 // of n, what the bar has not been told
	bar         *progressbar.ProgressBar
	once        sync.Once
}

// Add counts n more units.
func (t *task) Add(n int64) {
	t.n.Add(n)
	if t.bar == nil {
		return
	}
	if t.undrawn.Add(n); clock.Since(t.began) >= firstFrame {
		t.p.show(t.bar.Add64(t.undrawn.Swap(0)))
	}
}

// Done clears the bar and writes a line about work that took long enough, unless it failed.
func (t *task) Done(err error) {
	t.once.Do(func() {
		if t.bar != nil {
			t.p.show(errors.Join(t.bar.Clear(), t.bar.Exit()))
		}
		took := clock.Since(t.began)
		if err != nil || took < t.p.least {
			return
		}
		t.p.mu.Lock()
		defer t.p.mu.Unlock()
		fmt.Fprintln(t.p.w, summary(t.title, t.n.Load(), t.unit, took))
	})
}

// show takes the error of drawing a bar. A terminal that cannot be drawn on is no reason to stop the work; bars end then.
func (p *progress) show(err error) {
	if err != nil {
		p.bars.Store(false)
	}
}

// summary is the line that tells of finished work.
func summary(title string, n int64, unit string, took time.Duration) string {
	secs := took.Seconds()
	switch {
	case n == 0 || unit == "":
		return fmt.Sprintf("%s: %.1f s", title, secs)
	case unit == "bytes":
		const mb = 1e6
		return fmt.Sprintf("%s: %.1f MB in %.1f s (%.1f MB/s)", title, float64(n)/mb, secs, float64(n)/mb/max(secs, 1e-9))
	}
	out := fmt.Sprintf("%s: %s %s in %.1f s", title, thousands(n), unit, secs)
	if n == 1 {
		out = fmt.Sprintf("%s: 1 %s in %.1f s", title, strings.TrimSuffix(unit, "s"), secs)
	}
	if rate := float64(n) / max(secs, 1e-9); rate >= 1 {
		out += fmt.Sprintf(" (%s %s/s)", thousands(int64(rate)), unit)
	}
	return out
}

// thousands is n with commas.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
