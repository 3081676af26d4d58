// Package systab is the system tables and the table functions of a database: its history, refs, working set and differences as
// tables. Their names, columns and meanings are Dolt's, so that what was written for it works; what goes beyond is said where it is.
//
// A system table is a [Table]: a schema, the columns by whose values its rows can be found, and a function that makes an iterator
// over the rows, all of them or those at a [Point]. Rows are made as they are asked for, so the first row of a long history comes at
// once, and a point costs what it names: `from_commit = a and to_commit = b` reads what differs between a and b and nothing else.
package systab
