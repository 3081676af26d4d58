package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"

	"github.com/stemmadb/stemma/bench/data"
)

// fullRows is the size of the price list for which limits are given.
const fullRows = 10_000_000

// questions are the benchmarks, in the order in which they run.
var questions = []struct {
	name, text string
	run        func(context.Context, *env) error
}{
	{"import", "How long does it take to load a CSV file, and how large is the database then?", benchImport},
	{"files", "How long does it take to write a table to a file, and to load a file of columns?", benchFiles},
	{"documents", "What does a corpus of documents cost, an edit of some of it, and reading it?", benchDocuments},
	{"store", "How fast are single reads, single edits, scans and sums below SQL?", benchStore},
	{"diff", "How long does it take to see what changed?", benchDiff},
	{"update", "How long does a large transaction take, and what does it add?", benchUpdate},
	{"commit", "How many small durable transactions are there in a second?", benchCommit},
	{"arrow", "How long does it take to get a table into a frame, and back?", benchArrow},
	{"python", "How long does it take in Python, and what does the child take?", benchPython},
	{"open", "How long does it take to get an answer from the command line?", benchOpen},
	{"history", "Does a long history make commits slower, and what does it add?", benchHistory},
	{"merge", "How long does it take to merge branches of a large table?", benchMerge},
	{"past", "Who changed this row, when, and what was it before?", benchPast},
	{"log", "How soon does a long history answer?", benchLog},
	{"lineage", "Which run made this table, and from what, after a hundred thousand runs?", benchLineage},
	{"kedro", "What do hooks and records add to a run of Kedro?", benchKedro},
	{"branches", "What do ten thousand branches cost?", benchBranches},
	{"tables", "What do ten thousand tables cost?", benchTables},
	{"shapes", "What do tables of other shapes cost?", benchShapes},
	{"flow", "How long does a flow of Metaflow take that reads, joins, sums up and writes, and how much of it is stemma's?", benchFlow},
	{"remotes", "How long do a clone, a push and a fetch take, and what do they ask of a remote?", benchRemotes},
	{"gc", "How long does it take to remove a hundred times as much garbage as is in use, what room does it need, and who waits?", benchGC},
	{"seed", "And as large as the one that was announced in 2021, which took twelve minutes?", benchSeed},
}

// asked are the benchmarks that run only by their names: the data of these take long to make.
var asked = map[string]bool{"flow": true, "gc": true, "seed": true}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var names, usual []string
	for _, q := range questions {
		names = append(names, q.name)
		if !asked[q.name] {
			usual = append(usual, q.name)
		}
	}
	e := &env{out: os.Stdout}
	only := flag.String("run", strings.Join(usual, ","), "the benchmarks to run")
	flag.IntVar(&e.rows, "rows", fullRows, "rows of the price list; other data sets are as much smaller")
	flag.IntVar(&e.count, "count", 5, "repetitions; the median counts")
	flag.StringVar(&e.dir, "data", filepath.Join(os.TempDir(), "bench-data"), "directory of files and databases")
	flag.StringVar(&e.stemma, "stemma", "", "the program; built when not given")
	flag.StringVar(&e.dolt, "dolt", os.Getenv("BENCH_DOLT"), "Dolt's program, to compare with")
	flag.StringVar(&e.duckdb, "duckdb", os.Getenv("BENCH_DUCKDB"), "a Python that has DuckDB, to compare with")
	flag.StringVar(&e.python, "python", venvPython(os.Getenv("BENCH_PYTHON"), "python"), "a Python that has what the package's tests require")
	flag.StringVar(&e.kedro, "kedro", venvPython(os.Getenv("BENCH_KEDRO"), "kedro"), "a Python that has what the tests with Kedro require")
	flag.StringVar(&e.flows, "flows", venvPython(os.Getenv("BENCH_FLOWS"), "metaflow"), "a Python that has what the tests with Metaflow require")
	flag.IntVar(&e.peerCount, "peer-count", 1, "repetitions of peers")
	flag.StringVar(&e.variants, "variants", "", "shapes: also try these settings: target, long or both")
	flag.StringVar(&e.shapes, "shapes", "", "shapes: only those of these names")
	out := flag.String("out", "", "directory of the results (default bench/results at full size, nowhere else)")
	machine := flag.String("machine", fmt.Sprintf("%s-%s-%dcpu", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), "the machine's name in the results")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process to the file")
	flag.Parse()
	if *out == "" && e.rows == fullRows {
		*out = filepath.Join("bench", "results")
	}
	var err error
	if e.prices, err = data.NewPrices(e.rows); err != nil {
		return err
	}
	if err := e.prepare(ctx); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	e.report = newReport(*machine, e)
	wanted := map[string]bool{}
	for _, n := range strings.Split(*only, ",") {
		wanted[n] = true
	}
	for _, q := range questions {
		if !wanted[q.name] {
			continue
		}
		delete(wanted, q.name)
		fmt.Fprintf(e.out, "%s: %s\n", q.name, q.text)
		e.question = q.name
		if err := q.run(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		if *out != "" {
			if err := e.report.write(*out); err != nil {
				return err
			}
		}
	}
	for n := range wanted {
		return fmt.Errorf("there is no benchmark %q; there are %s", n, strings.Join(names, ", "))
	}
	return nil
}
