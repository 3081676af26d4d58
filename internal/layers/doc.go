// Package layers holds the house's rules as tests: which package may import which, what lies behind a fence, what every file owes its
// reader. It has no code of its own.
package layers
