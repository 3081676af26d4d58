package enginetest

import "regexp"

// skip is a kind of queries, or of scripts by name, that does not work, and why.
type skip struct {
	match  *regexp.Regexp
	reason string
}

func skipping(pattern, reason string) skip {
	return skip{match: regexp.MustCompile("(?is)" + pattern), reason: reason}
}

// skips are all that is known not to work. A pattern finds a statement, which stands alone, behind the name of a client or behind other
// statements; of a set-up it takes the whole script along. What works without being skipped must not be found.
var skips = []skip{
	skipping(statement+`create (definer ?= ?\S+ )?trigger|information_schema\.triggers where|^(before|after) update trigger$|^(insert|virtual column in) triggers$`, "triggers are not supported yet"),
	skipping(statement+`(show )?create (definer ?= ?\S+ )?procedure|^stored procedure tests$`, "databases keep no stored procedures"),
	skipping(statement+`(show )?create (definer ?= ?\S+ )?event`, "events are not supported yet"),
	skipping(`^delayed foreign key resolution insert$`, "whether a foreign key is resolved is not stored"),
	skipping(`^insert into child3 values \('a'\)`, "a child with an ENUM or SET value that the parent's type lacks is refused with another error"),
	skipping(`^insert into child_(datetime|timestamp)6 values \('2001-02-03 12:34:56'\)`, "times with different fraction digits are equal when they are the same moment"),
	skipping(`^create table child_time[06] \(`, "the types TIME and TIME(6) differ here, as in MySQL"),
	skipping(`^alter table child7 add foreign key`, "generated names do not run out"),
	skipping(`^create table .*\bfulltext\b`, "full-text indexes are not supported"),
	skipping(`^(create|alter) table .*\b(utf16(_\w+)?|latin1(_\w+)?|utf8mb3(_(general|unicode|bin)\w*)?|charset=utf8|utf8_\w+|utf8mb4_(unicode|esperanto)_ci)\b`, "a character set or collation whose weights the format does not freeze"),
	skipping(`^table charset options|osticket repro|^test databases created with non default collation`, "scripts whose first statement is skipped for its character set"),
	skipping(`target_row_size|toast_tuple_target`, "the size of rows cannot be steered"),
	skipping(`^multi alter with invalid schemas`, "rows are not limited to 64 KiB"),
	skipping(`^(alter table t add|create table \w_tbl .*,) primary key \([bctv]\(10\)\)`, "primary keys with prefixes are supported here"),
	skipping(`memory_(admin_only|variadic_add)`, "procedures of the memory engine"),
	skipping(`^explain select 1$`, "EXPLAIN gives the plan as a tree"),
	skipping(`information_schema\.column_statistics`, "there are no histograms"),
	skipping(`^select t\.col1 from t order by t\.col1;$`, "a unique index on TEXT without a prefix is ordered here, so the plan is a better one"),
	skipping(`^alter table t2 add unique key k1\(col1\);$`, "needs a table that is skipped for its collation"),
	skipping(`^select unix_timestamp\(d\), substring\(cast\(unix_timestamp\(tt\)`, "a TIME without a length has no fraction, as in MySQL"),
}

// statement is where a statement begins.
const statement = `(^|; |\*/ )`
