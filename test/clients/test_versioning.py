"""Versioning through every client: commits, branches, old versions and differences."""

from __future__ import annotations

from adapters import Adapter

HASH = "0123456789abcdefghijklmnopqrstuv"


def is_hash(value: str | None) -> bool:
    return value is not None and len(value) == 32 and set(value) <= set(HASH)


def fill(client: Adapter) -> tuple[str, str]:
    """Makes two commits of the table goods; returns their hashes."""
    client.rows("create table goods (id int primary key, name varchar(20), price decimal(8,2))")
    client.rows("insert into goods values (1, 'tea', 3.50), (2, 'rye', 1.20)")
    (first,), = client.rows("call dolt_commit('-Am', 'first goods')")
    client.rows("update goods set price = 3.75 where id = 1")
    client.rows("insert into goods values (3, 'oil', 7.00)")
    (second,), = client.rows("call dolt_commit('-am', 'new prices')")
    assert is_hash(first) and is_hash(second) and first != second
    return first, second


OLD = [("1", "tea", "3.50"), ("2", "rye", "1.20")]
NEW = [("1", "tea", "3.75"), ("2", "rye", "1.20"), ("3", "oil", "7.00")]


def test_as_of(client: Adapter) -> None:
    first, second = fill(client)
    client.rows("call dolt_tag('v1', 'HEAD~1')")
    client.rows("call dolt_branch('then-and-there', 'HEAD^')")
    for revision in [f"'{first}'", "'HEAD^'", "'HEAD~1'", "'v1'", "'then-and-there'", "hashof('HEAD^')", "HASHOF('then-and-there')", f"'{first[:10]}'"]:
        assert client.rows(f"select * from goods as of {revision} order by id") == OLD, revision
    for revision in [f"'{second}'", "'HEAD'", "'main'", "hashof('main')"]:
        assert client.rows(f"select * from goods as of {revision} order by id") == NEW, revision


def test_as_of_joins_versions(client: Adapter) -> None:
    fill(client)
    sql = "select n.name, o.price, n.price from goods n join goods as of 'HEAD^' o on o.id = n.id where o.price <> n.price"
    assert client.rows(sql) == [("tea", "3.50", "3.75")]


def test_as_of_a_time(client: Adapter) -> None:
    client.rows("create table t (x int primary key)")
    client.rows("insert into t values (1)")
    client.rows("call dolt_commit('-Am', 'in January', '--date', '2021-01-15T00:00:00')")
    client.rows("insert into t values (2)")
    client.rows("call dolt_commit('-Am', 'now')")
    assert client.rows("select count(*) from t as of now(6)") == [("2",)]
    (when,), = client.rows("select date from dolt_log where message = 'in January'")
    assert when is not None and client.rows(f"select count(*) from t as of timestamp('{when}')") == [("1",)]


def test_database_names(client: Adapter, db: str) -> None:
    first, _ = fill(client)
    client.rows("call dolt_branch('trial')")
    client.rows(f"insert into `{db}/trial`.goods values (4, 'fig', 2.00)")
    assert client.rows(f"select count(*) from `{db}/trial`.goods") == [("4",)]
    assert client.rows("select count(*) from goods") == [("3",)]
    client.rows(f"use `{db}/trial`")
    assert client.rows("select database(), active_branch()") == [(f"{db}/trial", "trial")]
    assert client.rows("select count(*) from goods") == [("4",)]
    client.rows(f"use `{db}`")
    for name in (f"{db}@{first}", f"{db}/{first}", f"{db}@HEAD~1"):
        assert client.rows(f"select * from `{name}`.goods order by id") == OLD, name


def test_checkout_is_the_session_s(client: Adapter, shared, db: str) -> None:
    fill(client)
    client.rows("call dolt_checkout('-b', 'trial')")
    client.rows("delete from goods where id = 3")
    client.rows("call dolt_commit('-am', 'no oil')")
    assert client.rows("select active_branch()") == [("trial",)]
    assert shared.query("select active_branch()", db) == [("main",)]
    assert shared.query("select count(*) from goods", db) == [(3,)]
    client.rows("call dolt_checkout('main')")
    assert client.rows("select * from goods order by id") == NEW


def test_procedures(client: Adapter) -> None:
    client.rows("create table t (x int primary key)")
    client.rows("call dolt_add('t')")
    client.rows("call dolt_commit('-m', 'a table')")
    client.rows("call dolt_branch('side')")
    client.rows("insert into t values (1)")
    client.rows("call dolt_commit('-am', 'one')")
    client.rows("call dolt_reset('--hard', 'HEAD^')")
    assert client.rows("select count(*) from t") == [("0",)]
    client.rows("insert into t values (2)")
    client.rows("call dolt_reset('--hard')")
    assert client.rows("select * from t") == []
    client.rows("call dolt_tag('v1')")
    assert client.rows("select tag_name from dolt_tags") == [("v1",)]
    client.rows("call dolt_branch('-d', 'side')")
    assert client.rows("select name from dolt_branches") == [("main",)]


def test_merge(client: Adapter) -> None:
    fill(client)
    client.rows("call dolt_checkout('-b', 'side')")
    client.rows("update goods set name = 'green tea' where id = 1")
    client.rows("call dolt_commit('-am', 'another name')")
    client.rows("call dolt_checkout('main')")
    client.rows("update goods set price = 4.00 where id = 1")
    client.rows("call dolt_commit('-am', 'another price')")
    client.rows("call dolt_merge('side')")
    assert client.rows("select * from goods where id = 1") == [("1", "green tea", "4.00")]
    assert client.rows("select count(*) from dolt_log where message in ('another name', 'another price')") == [("2",)]


def test_merge_conflict(client: Adapter) -> None:
    fill(client)
    client.rows("call dolt_checkout('-b', 'side')")
    client.rows("update goods set name = 'green tea' where id = 1")
    client.rows("call dolt_commit('-am', 'another name')")
    client.rows("call dolt_checkout('main')")
    client.rows("update goods set name = 'black tea' where id = 1")
    client.rows("call dolt_commit('-am', 'one more name')")
    client.rows("set @@dolt_allow_commit_conflicts = 1")
    assert client.rows("call dolt_merge('side')")[0][1:] == ("0", "1", "conflicts found")
    assert client.rows("select * from dolt_conflicts") == [("goods", "1")]
    rows = client.rows("select our_name, their_name, our_diff_type, their_diff_type from dolt_conflicts_goods")
    assert rows == [("black tea", "green tea", "modified", "modified")]
    client.rows("update dolt_conflicts_goods set our_name = their_name")
    client.rows("delete from dolt_conflicts_goods")
    assert client.rows("select name from goods where id = 1") == [("green tea",)]
    client.rows("call dolt_commit('-am', 'merged')")
    assert client.rows("select is_merging from dolt_merge_status") == [("0",)]


def test_functions_of_2021(client: Adapter) -> None:
    """`select dolt_commit(...)` is the form that plugins of 2021 use."""
    client.rows("create table t (x int primary key)")
    (added,), = client.rows("select dolt_add('t')")
    assert added == "0"
    (commit,), = client.rows("select dolt_commit('-m', 'by a function')")
    assert is_hash(commit)
    assert client.rows("select hashof('HEAD')") == [(commit,)]
    client.rows("select dolt_checkout('-b', 'other')")
    assert client.rows("select active_branch()") == [("other",)]
    client.rows("select dolt_checkout('main')")
    client.rows("insert into t values (1)")
    client.rows("select dolt_commit('-am', 'a row')")
    client.rows("select dolt_checkout('other')")
    client.rows("select dolt_merge('main')")
    assert client.rows("select * from t") == [("1",)]
    client.rows("select dolt_reset('--hard', 'HEAD^')")
    assert client.rows("select * from t") == []


def test_queries_within_statements(client: Adapter) -> None:
    """Tests and compared queries run with the rights of the client, and only read."""
    client.rows("create table t (x int primary key)")
    client.rows("insert into t values (1), (2)")
    client.rows("insert into dolt_tests values ('two', 'size', 'select * from t', 'expected_rows', '==', '2'),"
                " ('gone', 'size', 'delete from t', 'expected_rows', '==', '0')")
    assert client.rows("select test_name, status from dolt_test_run('size')") == [("gone", "FAIL"), ("two", "PASS")]
    assert client.rows("select from_x, to_x, diff_type from dolt_query_diff('select 1 as x', 'select 2 as x')") == [("1", None, "deleted"), (None, "2", "added")]
    assert client.rows("select count(*) from t") == [("2",)]


def test_staging_of_rows(client: Adapter) -> None:
    client.rows("create table t (x int primary key, y int)")
    client.rows("insert into t values (1, 1), (2, 2)")
    client.rows("call dolt_commit('-Am', 'first')")
    client.rows("update t set y = y * 10")
    client.rows("update dolt_workspace_t set staged = true where to_x = 2")
    client.rows("call dolt_commit('-m', 'one row')")
    assert client.rows("select to_x, from_y, to_y from dolt_diff_t where to_commit = hashof('HEAD')") == [("2", "2", "20")]
    client.rows("delete from dolt_workspace_t")
    assert client.rows("select * from t") == [("1", "1"), ("2", "20")]
    assert client.rows("select * from dolt_status") == []


def test_commits_of_transactions(client: Adapter) -> None:
    client.rows("create table t (x int primary key)")
    client.rows("call dolt_commit('-Am', 'table')")
    client.rows("set @@dolt_transaction_commit = 1, @@dolt_transaction_commit_message = 'by itself', @@dolt_author_name = 'Eve', @@dolt_author_email = 'eve@example.com'")
    client.rows("insert into t values (1)")
    assert client.rows("select message, author, author_email from dolt_log limit 1") == [("by itself", "Eve", "eve@example.com")]
    client.rows("set @@dolt_transaction_commit = 0")
    client.rows("insert into t values (2)")
    assert client.rows("select count(*) from dolt_log") == [("3",)]


def test_log(client: Adapter) -> None:
    first, second = fill(client)
    rows = client.rows("select commit_hash, committer, message from dolt_log limit 2")
    assert rows == [(second, "root", "new prices"), (first, "root", "first goods")]
    assert client.rows("select count(*) from dolt_commits") == [("3",)]
    assert client.rows(f"select parent_hash from dolt_commit_ancestors where commit_hash = '{second}'") == [(first,)]


def test_status(client: Adapter) -> None:
    fill(client)
    assert client.rows("select * from dolt_status") == []
    client.rows("create table other (x int)")
    client.rows("delete from goods where id = 1")
    client.rows("call dolt_add('other')")
    rows = client.rows("select table_name, staged, status from dolt_status order by table_name")
    assert rows == [("goods", "0", "modified"), ("other", "1", "new table")]


def test_branches(client: Adapter) -> None:
    first, second = fill(client)
    client.rows("call dolt_branch('old', 'HEAD^')")
    rows = client.rows("select name, hash, latest_commit_message, dirty from dolt_branches order by name")
    assert rows == [("main", second, "new prices", "0"), ("old", first, "first goods", "0")]


def test_diff_of_a_table(client: Adapter) -> None:
    first, second = fill(client)
    columns = "diff_type, from_id, from_price, to_id, to_price"
    rows = client.rows(
        f"select {columns} from dolt_diff_goods where from_commit = hashof('HEAD^') and to_commit = hashof('HEAD') order by to_id"
    )
    want = [("modified", "1", "3.50", "1", "3.75"), ("added", None, None, "3", "7.00")]
    assert rows == want
    assert client.rows(f"select {columns} from dolt_diff('{first}', '{second}', 'goods') order by to_id") == want
    assert client.rows(f"select {columns} from dolt_diff('HEAD^..HEAD', 'goods') order by to_id") == want
    back = client.rows(f"select {columns} from dolt_diff('HEAD', 'HEAD^', 'goods') order by from_id")
    assert back == [("modified", "1", "3.75", "1", "3.50"), ("removed", "3", "7.00", None, None)]
    client.rows("delete from goods where id = 2")
    assert client.rows("select diff_type, from_name, to_commit from dolt_diff_goods where to_commit = 'WORKING'") == [("removed", "rye", "WORKING")]


def test_diff_of_a_database(client: Adapter) -> None:
    first, second = fill(client)
    rows = client.rows("select commit_hash, table_name, message, data_change, schema_change from dolt_diff")
    assert rows == [(second, "goods", "new prices", "1", "0"), (first, "goods", "first goods", "1", "1")]


def test_diff_stat(client: Adapter) -> None:
    fill(client)
    rows = client.rows(
        "select table_name, rows_unmodified, rows_added, rows_deleted, rows_modified, cells_modified, old_row_count, new_row_count"
        " from dolt_diff_stat('HEAD^', 'HEAD', 'goods')"
    )
    assert rows == [("goods", "1", "1", "0", "1", "1", "2", "3")]


def test_history_of_a_table(client: Adapter) -> None:
    first, second = fill(client)
    rows = client.rows("select commit_hash, price from dolt_history_goods where id = 1 order by price")
    assert rows == [(first, "3.50"), (second, "3.75")]


def test_hash_of_equal_content(client: Adapter) -> None:
    fill(client)
    (before,), = client.rows("select dolt_hashof_table('goods')")
    client.rows("delete from goods where id = 2")
    assert client.rows("select dolt_hashof_table('goods')") != [(before,)]
    client.rows("insert into goods values (2, 'rye', 1.20)")
    assert client.rows("select dolt_hashof_table('goods')") == [(before,)]


def test_author_of_a_commit(client: Adapter) -> None:
    client.rows("create table t (x int)")
    client.rows("call dolt_commit('-Am', 'by Ada', '--author', 'Ada Lovelace <ada@example.org>')")
    assert client.rows("select author, author_email from dolt_log limit 1") == [("Ada Lovelace", "ada@example.org")]
