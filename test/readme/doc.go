// Package readme runs what README.md tells users to type.
package readme
