package cli

import "github.com/rivo/uniseg"

// displayWidth is the number of columns that one line of text takes on a terminal: two for wide characters, none for those that
// combine with the one before.
func displayWidth(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}
