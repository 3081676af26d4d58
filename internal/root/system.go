package root

import "strings"

// IsSystem tells whether a name is one that only system tables have.
func IsSystem(name string) bool {
	l := strings.ToLower(name)
	return strings.HasPrefix(l, "dolt_") || strings.HasPrefix(l, "stemma_")
}
