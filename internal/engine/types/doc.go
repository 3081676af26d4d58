// Package types converts between the SQL engine's types, values, schemas and index ranges and stemma's own.
//
//	sql.Type          <-> value.Type       FromSQL, ToSQL
//	a Go value        <-> value.Cell       Codec
//	sql.Row           <-> a tuple          RowCodec
//	sql.Column, …     <-> schema.Column, … ColumnFromSQL, ColumnToSQL, …
//	sql.MySQLRange     -> ranges of keys   KeyRanges
//
// It holds these laws, and its tests check them against the engine:
//
//  1. ToSQL(FromSQL(t)) equals t for every type that a column can have.
//  2. FromCell(ToCell(v)) equals v under the engine's comparison, and is of the Go type that the engine's Convert gives.
//  3. The keys of two cells are ordered as the engine orders their values.
//  4. The keys that a KeyRange holds are those of the rows for which the engine's range is true; where that cannot be had, they
//     are more, never fewer, and KeyRanges says so.
package types
