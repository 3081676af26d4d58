// Package op holds the verbs: each is one struct whose tags declare its parameters and whose Run does the work.
//
//	type Tag struct {
//		Name    string `arg:"1" required:"true" help:"the tag to make"`
//		Message string `flag:"message,m" help:"describe the tag"`
//	}
//
//	func (t *Tag) Run(ctx context.Context, s *Scope) (*Result, error)
//
// The same declaration is the flag set of the command line, the arguments of CALL dolt_tag('v1', '-m', 'text'), the JSON body of
// a forwarded or an HTTP request and the keywords of the Python client. BindArgs and BindJSON are the only parsers of them, and a
// Result is the only form of an answer: typed columns and rows, which each edge draws in its own way.
//
// Invariants:
//
//	O1  All is an explicit list; nothing registers itself.
//	O2  BindJSON(spec, EncodeJSON(spec, op)) sets every parameter as it is in op.
//	O3  Unmarshalling a marshalled Result gives the same columns, rows, lines, detail and exit code.
//	O4  A verb reads no environment variable, flag or global: all it knows is in its struct and its Scope.
package op
