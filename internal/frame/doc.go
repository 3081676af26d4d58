// Package frame moves tables to and from Arrow record batches, which are the rows of data frames.
//
//	a view     -> record batches   Scan
//	a field    -> a column         ColumnOf
//	a column   -> a field          FieldOf
//	batches    -> a table          Load, which writes the fewest rows that its Mode asks for
//
// It knows nothing of SQL: CHECK constraints and generated columns are evaluated by what its Target gives.
package frame
