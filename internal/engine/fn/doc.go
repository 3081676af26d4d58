// Package fn is the SQL functions of version control: hashes of commits, tables and databases, the shape of history, and the old
// form of the procedures, `select dolt_commit('-m', 'x')`, which calls the same procedures as CALL does. Names and meanings are
// Dolt's.
package fn
