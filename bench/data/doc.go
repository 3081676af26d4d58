// Package data makes the data sets that benchmarks use: seeded, the same bytes on every machine and in every release, so that results
// can be compared over years. A test pins their hashes.
package data
