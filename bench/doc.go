// Command bench answers how fast stemma is, and how large what it keeps, by the questions that users ask.
//
//	go run ./bench                            every benchmark at full size, results in bench/results
//	go run ./bench -run import,diff           some of them
//	go run ./bench -rows 200000 -count 1      small, to try a change; nothing is kept
//	go run ./bench -run python -python PYTHON the Python package, with a Python that has what its tests require
//	go run ./bench -run kedro -kedro PYTHON   runs of Kedro with hooks and without, with a Python that has it
//	go run ./bench -run flow,seed -flows PYTHON  flows of Metaflow, with a Python that has it; only when asked for
//	go run ./bench -dolt PATH -duckdb PYTHON  beside peers, which do the same work in the same run; the report has the ratios
//
// A benchmark is a question of table questions. What it measures it hands to env.record: a name, the unit, one sample for each
// repetition, and the limit that stemma is to keep at full size, if there is one. The report has the median.
//
// Data sets are made by package data, which is seeded; choices of rows are seeded too. Files and databases are kept in -data from
// run to run, databases as long as the program that made them is the same.
//
// Memory is the peak resident memory of the process that does the work; sizes are what the file system allocates (du), after the
// database was closed. The page cache is warm. Servers are reached over loopback.
package main
