// Package stripe lays pages out in blocks whose columns can be read apart. A block is a run of pages: first what comes before the segments of
// each of them, with their hashes, then for each column the segments of all pages that have one, each of these stripes being one range with a
// checksum of its own. A page comes out of its block bit for bit, or only with some of its columns, as a page that knows which columns it
// was not read with. docs/format.md, Striped packs, has the bytes.
package stripe
