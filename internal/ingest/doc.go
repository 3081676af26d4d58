// Package ingest brings CSV files into tables and tables into CSV files.
//
// A file is RFC 4180 in UTF-8, with or without a byte order mark, its lines ended by LF or CRLF, its fields separated by any one
// ASCII character. A field without quotes and without characters is NULL, "" is the empty string. What the RFC leaves open is an
// error: no value is guessed, cut or dropped.
//
//	file -> framer -> blocks of whole records -> workers: split, parse, encode -> in order -> table.Loader
//	          |                                     |
//	          one goroutine, finds record ends      as many as processors; a block's result waits for those before it
//
// Invariants:
//
//	I1  What is loaded depends on the file and the options, never on the number of workers or the size of blocks.
//	I2  The error that ends an import is that of the first bad line of the file, and names it by its number, counting from 1.
//	I3  Memory is bounded by blocks and the longest record, whatever the file's size.
//	I4  The file is only read.
//	I5  Writing a table and reading the file into its schema gives the same rows, NULL and empty strings told apart.
package ingest
