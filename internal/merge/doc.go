// Package merge brings together what two states of a database have changed since a third, their base. The cost follows the
// changes: what only one side changed is taken over by its hash.
//
// What merges, and what stands against each other:
//
//  1. A change that only one side made is taken; one that both made alike is one change. So merge(a, a, b) and merge(a, b, a) are b.
//  2. Tables are paired by name. A table that is gone beside a new one with the same columns by id, the same key and its first or last
//     row is renamed (diff.Tables). A table changed on one side and dropped on the other is a conflict of schemas.
//  3. Columns are paired by id, those that both sides added by name and type as well. Each property of a column merges by itself.
//     A column dropped on one side, of which the other changed the definition or values of rows that were there, is a conflict of
//     schemas; so are another primary key beside changed rows, and a type that values of the other side do not fit into. A table
//     with a conflict of schemas stays as ours has it.
//  4. Rows are paired by primary key and merge cell by cell, JSON objects member by member. A column that only one side has comes
//     from that side. Rows of tables with generated columns or enforced checks merge as a whole, since a mixture may break what
//     holds for both. A row changed on one side and deleted on the other, or with a cell that both set differently, is a conflict: it
//     stays as ours has it, and its key is listed.
//  5. Keyless tables hold rows by number of copies. Of two changes of one row's number in the same direction the larger counts, of
//     others the sum. Rows that theirs adds go behind ours. There are no conflicts.
//  6. Two rows with one value in a unique index, and NULL in a column that is not nullable, that come through the merge alone are
//     listed as violations; the rows stay.
//  7. Of comments that both sides changed, ours stays.
package merge
