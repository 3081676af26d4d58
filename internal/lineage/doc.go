// Package lineage knows which run made a table, and from what. Runs, what they read and what they wrote are rows of three system tables
// (Runs, Inputs, Outputs), which are kept beside the branches of a database. The producers of a table at a commit are found by walking
// the history to the commits that last changed the table's hash and joining the outputs on table, hash before, hash after and commit.
//
// Hashes and commits are kept in full, 52 characters. Times are UTC, with microseconds.
package lineage
