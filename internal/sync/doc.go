// Package sync moves histories between databases and remotes. A Remote is a set of objects: packs of chunks, lists of packs, and one
// object for each ref; docs/format.md has the bytes, docs/design/accepted/0011-remotes.md the reasons.
//
// What always holds:
//
//	R1  A list names packs that together hold every chunk that the refs with this list reach.
//	R2  Packs are put before the list that names them, and that before the ref that names it.
//	R3  A ref changes on the condition that it is what the one who changes it has read.
//	R4  Several refs that are changed at once have all their new values or all their old ones, whatever dies when and whoever reads meanwhile.
//	R5  What is fetched is in the database, durably, before a ref of the database names it, and everything that the ref reaches is there.
//	R6  A collection removes nothing that a ref or a snapshot of a backup needs, nor anything that a push has claimed and names within the grace period.
package sync
