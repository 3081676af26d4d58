// Package cli is the command line: it turns the specs of package op into commands, runs them and draws their results.
//
//	argv ──global flags──> cobra finds the command ──rest──> op.ParseArgs ──> Op.Run(ctx, Scope) ──> Result ──> render
//
// Cobra keeps the tree of commands, routes to them and writes completion scripts; flags are parsed by package op alone, so that
// a flag means the same here and in CALL. The name under which the program was called, stemma or dolt, decides words and exit
// status: see exitStatus and docs/exit-codes.md.
package cli
