package history

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// CheckRefName reports why name cannot be the name of a branch or a tag. The rules are git's, and a name must not look like a
// hash or a revision expression.
func CheckRefName(name string) error {
	bad := func(why string) error {
		shown := "'" + name + "'"
		if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) || !utf8.ValidString(name) { // not fit for a terminal
			shown = strconv.Quote(name)
		}
		return errs.New(errs.Invalid, "%s is not a valid branch or tag name: %s", shown, why)
	}
	switch {
	case name == "":
		return errs.New(errs.Invalid, "a branch or tag name must not be empty")
	case !utf8.ValidString(name):
		return bad("it is not UTF-8")
	case strings.EqualFold(name, "HEAD") || strings.EqualFold(name, "WORKING") || strings.EqualFold(name, "STAGED") || name == "@":
		return bad("it is reserved")
	case len(name) == hash.ShortLen && hash.IsPrefix(name) || len(name) == hash.FullLen && hash.IsPrefix(name):
		return bad("it looks like a hash")
	case strings.HasPrefix(name, "-"):
		return bad("it begins with '-'")
	case strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"), strings.Contains(name, "//"):
		return bad("it has an empty part")
	case strings.Contains(name, ".."), strings.Contains(name, "@{"):
		return bad("it contains '..' or '@{'")
	case strings.HasSuffix(name, "."), strings.HasSuffix(name, ".lock"):
		return bad("it ends with '.' or '.lock'")
	}
	for _, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, ".") {
			return bad("a part begins with '.'")
		}
	}
	for _, c := range name {
		if unicode.IsControl(c) || strings.ContainsRune(" ~^:?*[\\", c) {
			return bad("it contains a blank, a control character or one of ~ ^ : ? * [ \\")
		}
	}
	return nil
}
