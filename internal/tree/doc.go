// Package tree is a content-addressed search tree (a prolly tree): an ordered map from byte-string keys to rows, cut into chunks
// whose ends depend on content alone, so that equal maps are equal bytes whoever wrote them and in whatever order. It knows
// nothing of types, SQL or columns: what a leaf looks like is the business of a [Format].
//
//	level 2            [ .. k9 | .. k20 ]                   a child entry: last key, hash, rows, flags
//	                    /           \
//	level 1     [ k3 | k6 | k9 ]   [ k14 | k20 ]            interior nodes: chunks of kind 2, about 2 KiB
//	             /    |    |         |     |
//	level 0    leaf leaf leaf      leaf  leaf               leaves: chunks of the Format
//
// An interior node, little endian, read in place:
//
//	0   u8   kind = 2
//	1   u8   version = 1
//	2   u8   level, 1 and up
//	3   u8   form: bit 0 set when key ends are u32, else u16; bits 1-2: log2 of the bytes of a count
//	4   u32  n, the number of children
//	8   u32  p, the length of the prefix that all keys share
//	12       n hashes of 32 bytes
//	         n row counts of 1, 2, 4 or 8 bytes, each of one child's subtree (not running sums)
//	         n flag bytes
//	         n key ends: where the key's suffix ends among the suffixes
//	         the prefix, p bytes; then the suffixes one after the other to the end of the chunk
//
// A key/value leaf ([KVFormat]) has the same key layout:
//
//	0   u8   kind = 3
//	1   u8   version = 1
//	2   u8   form: bit 0 set when key ends and row ends are u32, else u16
//	3   u8   0
//	4   u32  n, the number of rows
//	8   u32  p, the length of the prefix that all keys share
//	12       n key ends, then n row ends
//	         the prefix, the suffixes, the rows
//
// Invariants, which [Check] verifies:
//
//	T1  Keys rise strictly, within a chunk and from chunk to chunk.
//	T2  A chunk ends exactly where the boundary rule of its level, fed with the level's keys and weights since the end before,
//	    says so; only the last chunk of a level may end elsewhere. The rule sees keys and weights, never payloads, addresses,
//	    or history.
//	T3  Every child entry states its child's last key, subtree row count and flags truly.
//	T4  The root is the lowest level that has one chunk. So an interior root has two children at least, and the empty tree has
//	    no chunk at all: its Root is zero.
//	T5  The bytes of a chunk are the only encoding of its content: the narrowest form, the longest prefix.
//	T6  The children of a node of level n are of level n-1; level 0 is leaves.
//	T7  From T1 to T6: two trees of one Format hold the same rows if and only if their roots are equal. [Apply] gives the root
//	    that a [Builder] gives for the edited rows.
package tree
