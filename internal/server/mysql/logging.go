package mysql

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dolthub/vitess/go/vt/log"
	"github.com/sirupsen/logrus"

	"github.com/stemmadb/stemma/internal/errs"
)

// The levels of logging beyond those of package slog.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

// LevelNames are the names of the levels, most talkative first.
func LevelNames() []string { return []string{"trace", "debug", "info", "warning", "error", "fatal"} }

// ParseLevel reads the name of a level. An unknown one is an error of class Invalid.
func ParseLevel(name string) (slog.Level, error) {
	switch name {
	case "trace":
		return LevelTrace, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warning", "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "fatal":
		return LevelFatal, nil
	}
	return 0, errs.New(errs.Invalid, "log level %q: want trace, debug, info, warning, error or fatal", name)
}

// NewLogger is a logger that writes lines to w, of text or objects of JSON. Its levels are named as ParseLevel names them.
func NewLogger(w io.Writer, level slog.Level, json bool) *slog.Logger {
	opt := &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.LevelKey && len(groups) == 0 {
				if l, ok := a.Value.Any().(slog.Level); ok {
					a.Value = slog.StringValue(levelName(l))
				}
			}
			// Errors of the SQL engine write the stack where they were made when they are asked for all they know.
			if err, ok := a.Value.Any().(error); ok {
				a.Value = slog.StringValue(err.Error())
			}
			return a
		},
	}
	if json {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warning"
	case l < LevelFatal:
		return "error"
	}
	return "fatal"
}

// bridge carries what the SQL engine logs, which it does through one logger for the whole process, to ours.
type bridge struct{}

// quiet is a message of the engine that says nothing to who runs a server at the level info.
func quiet(message string) bool {
	switch message {
	case "NewConnection", "ConnectionClosed", "Server ready. Accepting connections.", "Server closing listener. No longer accepting connections.":
		return true
	}
	return false
}

// Levels implements logrus.Hook.
func (bridge) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (bridge) Fire(e *logrus.Entry) error {
	level := slog.LevelInfo
	switch e.Level {
	case logrus.TraceLevel:
		level = LevelTrace
	case logrus.DebugLevel:
		level = slog.LevelDebug
	case logrus.WarnLevel:
		level = slog.LevelWarn
	case logrus.ErrorLevel:
		level = slog.LevelError
	case logrus.FatalLevel, logrus.PanicLevel:
		level = LevelFatal
	}
	if quiet(e.Message) || level == slog.LevelWarn && e.Message == "error running query" {
		level = min(level, slog.LevelDebug)
	}
	keys := slices.Sorted(maps.Keys(e.Data))
	attrs := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		attrs = append(attrs, k, e.Data[k])
	}
	logTo(level, e.Message, attrs...)
	return nil
}

// process is the logger of all engines in this process: they share one, whatever is done.
var process struct {
	once sync.Once
	to   atomic.Pointer[slog.Logger]
}

// redirect makes the engine and its protocol log to the logger, or nothing when that is nil.
func redirect(to *slog.Logger) {
	process.to.Store(to)
	process.once.Do(func() {
		std := logrus.StandardLogger()
		std.SetOutput(io.Discard)
		std.ReplaceHooks(logrus.LevelHooks{})
		std.AddHook(bridge{})
		protocol := func(level slog.Level) (func(...any), func(string, ...any)) {
			return func(args ...any) { logTo(level, fmt.Sprint(args...)) }, func(f string, args ...any) { logTo(level, fmt.Sprintf(f, args...)) }
		}
		log.Info, log.Infof = protocol(slog.LevelDebug)
		log.Warning, log.Warningf = protocol(slog.LevelDebug)
		log.Error, log.Errorf = protocol(slog.LevelWarn)
	})
	logrus.SetLevel(engineLevel(to))
}

// engineLevel is what the engine must hand on so that the logger gets all it wants.
func engineLevel(to *slog.Logger) logrus.Level {
	if to == nil {
		return logrus.PanicLevel
	}
	for _, l := range []struct {
		ours   slog.Level
		theirs logrus.Level
	}{
		{LevelTrace, logrus.TraceLevel}, {slog.LevelDebug, logrus.DebugLevel}, {slog.LevelInfo, logrus.InfoLevel},
		{slog.LevelWarn, logrus.WarnLevel}, {slog.LevelError, logrus.ErrorLevel},
	} {
		if to.Enabled(context.Background(), l.ours) {
			return l.theirs
		}
	}
	return logrus.FatalLevel
}

func logTo(level slog.Level, message string, attrs ...any) {
	if strings.HasPrefix(message, "Error reading packet") { // a client has gone without saying so
		level = slog.LevelDebug
	}
	if to := process.to.Load(); to != nil {
		to.Log(context.Background(), level, strings.TrimSpace(message), attrs...)
	}
}
