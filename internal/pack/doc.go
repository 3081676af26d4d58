// Package pack is the local store of one database directory: a journal that makes small changes durable with one sync, and packs,
// immutable files in which chunks stay. It is a chunk store and a log of records whose meaning is the caller's.
//
//	dir/FORMAT                   text: format version, required, read-only and optional features
//	dir/journal/0000000007.jnl   segments; LSNs run on from one to the next
//	dir/packs/<digest>.pack      packs, named after the digest of their index
//	dir/{journal,packs}/*.tmp    being written; removed by the next owner
//
// Integers are little-endian; uvarint is that of encoding/binary; crc is CRC32C.
//
//	segment   "STMJRNL1" | u64 number | u64 base LSN | u64 epoch | 28 zero bytes | u32 crc of those 60 bytes
//	          frames, then zeros that are allocated ahead (a clean close cuts them off)
//	frame     u32 len | u32 crc of bytes 8..len | u64 LSN | u64 epoch | u64 durable_lsn | u8 type | payload | zeros up to 8
//	payload   u8 form; form 0: the body follows; form 1: uvarint length, uvarint n, n hashes of the blob chunks that hold it
//	batch     uvarint n, n × { hash | u8 codec | uvarint raw | uvarint stored | bytes }, uvarint m, m × { u8 type | uvarint len | bytes }
//	          a body of form 1 has n = 0
//	checkpoint  the state, opaque
//
//	pack      "STMPACK1" | u32 version | u32 0
//	          records: hash | u32 raw | u32 stored | u8 codec | 3 zero bytes | u32 crc of header and bytes | bytes
//	          index: count × u64 hash prefix (its first 8 bytes as a big-endian number) | count × u64 offset | count × u32 stored,
//	                 sorted by (prefix, offset)
//	          footer: u64 index offset | u64 index length | u32 count | u32 version | SHA-256 of all hashes in record order |
//	                  digest = SHA-256 of the index and the 56 bytes before | "STMPEND1"
//	          version 2: the first record is a dictionary, which those with codec 2 need
//
// What always holds:
//
//	P1  The LSN is the position of a frame in the endless journal; a frame at X of n bytes is followed by one at X+n.
//	P2  A segment is made under another name, synced, renamed, and its directory synced before a frame is appended to it; and
//	    that only when all frames below its base are durable. So a bad frame below the base of a later segment is corruption.
//	P3  A segment whose base is at or below that of an earlier one replaces it from there on (recovery makes such).
//	P4  A pack has its name, durably, before a frame is appended that relies on it and before a file is removed whose chunks it took.
//	P5  Files are removed oldest segment first, each durably, so the segments are contiguous in LSN at all times.
//	P6  A frame below durable_lsn of any frame was synced without an error. What was not is copied and synced before a new
//	    owner relies on it, though it can be read: after a failed sync the page cache does not tell what is on the disk.
//	P7  Whoever reads the journal first and packs afterwards finds every chunk that the journal relies on.
//	P8  There is a segment before there is a FORMAT; while it has no frames it is as long as its header. So a store without segments
//	    is damaged, and so is one whose first segment neither begins at LSN 8 nor has a checkpoint in it or behind it.
//	P9  The hash, not the CRC, is a chunk's identity; it is verified when a chunk is folded and by Verify.
//	P10 Every pack that the journal relies on is listed: by the frame that relies on it first, or holds a piece of that frame's body, or by
//	    a list of all in a frame behind. So packs that are not listed are what a crash has left, and the next owner removes them.
//	P11 A batch relies on chunks of the store that it was given and did not keep. A collection keeps them until the batch is closed, and to
//	    the end of those collections that run when it is appended.
//	P12 A record with codec 2 is in a pack that begins with the dictionary that it needs. What leaves such a pack, for the journal, a batch, a
//	    pack that is built for others or one of another collection, is stored anew; only packs as a whole are taken as they are.
package pack
