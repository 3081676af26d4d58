// Package torture holds tests that ill-treat the program as a whole: processes killed without warning, many processes on one
// directory, full disks, another processor. What they look for is always the same: nothing that was acknowledged is missing or there
// twice, and nobody ever sees half of a transaction.
//
// A plain `go test` runs each for a few seconds. `make torture` sets STEMMA_TORTURE=1, and then they run at length.
package torture
