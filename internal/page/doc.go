// Package page is the columnar leaf of table and index trees: rows in key order, kept as one encoded vector for each column. It
// implements the leaf contract of package tree. Any cell is read in place, in constant or logarithmic time; nothing is decoded that is
// not asked for.
//
// # Page
//
// Everything is little endian; offsets count bytes from the beginning of the page.
//
//	 0  u8 kind = 1 | u8 version = 1 | u16 columns c | u32 rows | u32 length | u16 groups g | u8 flags | u8 0
//	16  c x u64                column ids, ascending
//	    c x (u32 off, u32 len) the columns' segments; bit 31 of len: the segment has out-of-line cells
//	    g x (32 hash, u32 len, u32 0) column groups
//	    segments, each followed by zero bytes up to a multiple of 8
//	    16 zero bytes, which vectors and copies may read but not use
//
// Flag 1 says that the page names other chunks: groups or out-of-line cells. An offset of the page's length or more lies in a group:
// the groups follow the page, one behind the other, in the space of offsets. A group is a chunk of its own:
//
//	0  u8 kind = 4 | u8 version = 1 | u16 segments | u32 rows
//	8  segments, each followed by zero bytes up to a multiple of 8; 16 zero bytes
//
// # Segment
//
//	 0  u8 encoding | u8 width | u8 form | u8 flags | u32 aux
//	    flags 0-1: 0 no NULL, 1 some (validity bitmap, bit set: not NULL), 2 all (the segment ends here); flag 4: out-of-line bitmap
//	 8  [validity: ceil(rows/64) u64] [out of line: ceil(rows/64) u64] payload
//
//	1 ints      i64 base | rows x width bits
//	2 int dict  u8 entry width, u8 mode, u16 0, u32 runs | i64 base | aux x entry width bits | codes
//	3 plain     u32 bytes, u32 length | [offsets] strings; width is the store
//	4 dict      u8 store, u8 mode, u16 0, u32 runs | u32 bytes, u32 length | [offsets] strings, aux of them | codes
//
//	codes   mode 0: rows x width bits | 1: runs x p bits (ends), runs x width bits | 2: runs x p bits; run r has code r
//	        p is the bit length of the number of rows; end r is the first row behind run r
//	store   0: all of one length | 1, 2: u16, u32 offsets, one more than strings | 3, 4: front-coded, u16, u32 offsets of blocks
//	front   blocks of 16: uvarint length, bytes; then for each u8 shared, uvarint length of the rest, the rest
//	form    0: ints are the cell's bits | s+1: the cell is int / 10^s, exactly
//	width   bits of a value or code: 0 to 56, or 64
//
// # Invariants
//
//	P1  The bytes are a function of the rows and the Layout: not of the order of building, of older pages, of the machine.
//	P2  A column of which every cell equals its absent value has no segment.
//	P3  The encoding is the one with the fewest bytes; of equals, the one with the lowest number. Front coding must save an eighth.
//	P4  Dictionaries are strictly ascending, by bytes; those of key columns by (sort key, bytes). Every entry is used.
//	P5  A NULL row of a vector of ints is packed as 0 and has an empty string; its code is that of the row before it, for leading ones
//	    that of the first row that is not NULL.
//	P6  Key columns are never in groups.
//	P7  Reading arbitrary bytes gives errors of class Corrupt or wrong cells, never a panic. (Search and AppendKey, which have no
//	    error to return, give some row and some key.)
package page
