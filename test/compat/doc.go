// Package compat holds transcripts of command lines under the name dolt, side by side with Dolt 2.3.1: what they write to standard output
// and their exit status. Where this program goes its own way on purpose the transcript says why.
//
// A transcript, testdata/<name>.txt, is a list of command lines. Both programs run all of them, in a directory of their own. Before a
// line may stand
//
//	@          prepares what follows: only its success counts
//	~<reason>~ differs from Dolt on purpose; the test fails when it does not any more
//
// What Dolt wrote is recorded in testdata/<name>.dolt. TEST_DOLT=<program> runs Dolt as well and compares with the record;
// UPDATE_RECORDS=1 writes the record anew.
package compat
