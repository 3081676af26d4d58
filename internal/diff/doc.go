// Package diff says how two states of a database differ: which tables (Tables), which columns, keys and indexes of a table
// (Schemas), and which rows and cells (Pair). The cost follows the change: subtrees with equal hashes are never read.
//
// What a row difference is:
//
//  1. Columns are paired by their stable id, then by equal name and type, then by equal name (Align). Cells of different types are
//     compared as values. A table that was dropped and made again under its name has the same ids, so it differs in its rows like any other.
//  2. Rows of tables with primary keys are paired by key. A pair is modified when it differs in a column of the to side; there a
//     column that the from side lacks counts with its absent value, which is what older rows read as. So adding or dropping a
//     column is a difference of schemas, not of every row.
//  3. Rows without a common key (keyless tables, or another primary key) are paired by their cells: equal rows cancel, however
//     often and wherever they stand, and the rest is removed or added, never modified.
//  4. Applying the changes to the from side, read with the to side's columns, gives the to side.
package diff
