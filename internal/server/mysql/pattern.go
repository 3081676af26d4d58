package mysql

import (
	"regexp"
	"sync"
)

// pattern gives a regular expression, compiled when it is first needed: every command is a process of its own, and most see no error.
type pattern = func() *regexp.Regexp

// matching is the pattern of an expression, which is a constant of the program.
func matching(expression string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
