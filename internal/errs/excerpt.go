package errs

import (
	"strings"
	"unicode"
)

// Excerpt is a text that others gave, such as a statement, as a message shows it: its first 500 bytes, with U+FFFD for what is no text.
func Excerpt(text string) string {
	const most = 500
	end := ""
	if len(text) > most {
		text, end = strings.ToValidUTF8(text[:most], ""), "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return unicode.ReplacementChar
		}
		return r
	}, text) + end
}
