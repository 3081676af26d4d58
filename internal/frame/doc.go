// Package frame moves tables to and from Arrow record batches, which are the rows of data frames.
//
//	a view     -> record batches   Scan
//	a field    -> a column         ColumnOf
//	a column   -> a field          FieldOf
//	batches    -> a table          Load, which writes the fewest rows that its Mode asks for
//
// It knows nothing of SQL: what needs an expression to be evaluated is done above it.
package frame
