package cli

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	gosync "sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/object/buckettest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/op"
)

func TestMain(m *testing.M) {
	program := func() { os.Exit(Main(&Program{Version: "1.2.3", Specs: op.All()})) }
	testscript.Main(m, map[string]func(){"stemma": program, "dolt": program})
}

// Transcripts of the command line. Beside testscript's commands there is
//
//	exits <status> <program> [<args>]    run a program that must exit with the status
//	freeport <variable>                  set the variable to a TCP port that nobody listens on
//	listens <port>                       wait until somebody does
//	bucket s3|gs|az <name>               start a server with an empty bucket, which the environment names from then on
//	reads s3|gs|az [<bytes>]             it must have answered with no more than so many bytes since the last time that this was asked
//
// UPDATE_SCRIPTS=1 rewrites the outputs that cmp compares.
func TestScripts(t *testing.T) {
	var servers gosync.Map // *objecttest.Server, by the URL that the environment of a script has
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("STEMMA_HOME", filepath.Join(env.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeport": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: freeport <variable>")
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				ts.Check(err)
				_, port, err := net.SplitHostPort(l.Addr().String())
				ts.Check(err)
				ts.Check(l.Close())
				ts.Setenv(args[0], port)
			},
			"listens": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: listens <port>")
				}
				for try := 0; ; try++ {
					c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
					if err == nil {
						ts.Check(c.Close())
						return
					}
					if try == 600 {
						ts.Fatalf("nobody listens on %s: %v", args[0], err)
					}
					time.Sleep(50 * time.Millisecond)
				}
			},
			"bucket": func(ts *testscript.TestScript, neg bool, args []string) {
				var kind buckettest.Kind
				if len(args) == 2 {
					kind, _ = buckettest.Of(args[0])
				}
				if neg || kind.New == nil {
					ts.Fatalf("usage: bucket s3|gs|az <name>")
				}
				srv, env := kind.New(t, args[1])
				servers.Store(ts.Getenv("WORK")+" "+args[0], srv)
				for k, v := range env {
					ts.Setenv(k, v)
				}
			},
			"reads": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 1 || len(args) > 2 {
					ts.Fatalf("usage: reads s3|gs|az [<bytes>]")
				}
				srv, ok := servers.Load(ts.Getenv("WORK") + " " + args[0])
				if !ok {
					ts.Fatalf("reads: there is no bucket %s", args[0])
				}
				got := srv.(*objecttest.Server).Answered()
				if len(args) == 2 {
					most, err := strconv.ParseInt(args[1], 10, 64)
					ts.Check(err)
					ts.Logf("%d bytes", got)
					if got > most {
						ts.Fatalf("%d bytes were read, at most %d should be", got, most)
					}
				}
				srv.(*objecttest.Server).Reset()
			},
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits <status> <program> [<args>]")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					var e *exec.ExitError
					if !errors.As(err, &e) {
						ts.Fatalf("%v", err)
					}
					got = e.ExitCode()
				}
				if got != want {
					ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
				}
			},
		},
	})
}
