"""The verbs as methods of a database. Generated from their declarations in Go: go run ./internal/op/pygen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from stemma._results import Result, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

R = TypeVar("R", bound=Row)

# The verbs that change nothing in the database, which can be asked for again when an answer is lost.
READ_ONLY = frozenset(
    {
        "status",
        "log",
        "diff",
        "show",
        "blame",
        "reflog",
        "count-commits",
        "ls",
        "docs print",
        "docs diff",
        "conflicts cat",
        "merge-base",
        "ls-remote",
        "fsck",
        "du",
        "backup log",
        "table export",
        "schema show",
        "schema export",
        "dump",
        "data lock",
        "data items",
        "data verify",
        "data status",
        "data retrain",
        "data export",
        "data diff",
        "run list",
        "run show",
        "run of",
        "lineage",
        "lineage impact",
        "lineage why",
        "lineage export",
        "version",
    }
)

# The flags of the verbs as the command line has them: after each / those that mean the keyword before it, which is followed by = where it takes
# a value.
FLAGS = {
    "init": "name=/--name email=/--email date=/--date initial_branch=/--initial-branch/-b",
    "clone": "remote=/--remote branch=/--branch/-b single_branch/--single-branch depth=/--depth rev=/--rev/--revision tables=/--tables lazy/--lazy cache=/--cache",
    "read-tables": "dir=/--dir/-d",
    "status": "ignored/--ignored",
    "add": "all/--all/-A force/--force/-f branch=/--branch",
    "commit": "message=/--message/-m all/--all/-a ALL/--ALL/-A amend/--amend allow_empty/--allow-empty skip_empty/--skip-empty date=/--date author=/--author meta=/--meta branch=/--branch",
    "rm": "cached/--cached force/--force/-f",
    "clean": "dry_run/--dry-run/-n ignored/-x",
    "reset": "hard/--hard soft/--soft mixed/--mixed",
    "stash": "include_untracked/--include-untracked/-u all/--all/-a patch/--patch/-p message=/--message/-m",
    "log": "number=/--number/-n oneline/--oneline merges/--merges min_parents=/--min-parents graph/--graph stat/--stat parents/--parents decorate=/--decorate all/--all not_=/--not",
    "diff": "data/--data/-d schema/--schema/-s stat/--stat summary/--summary name_only/--name-only limit=/--limit where=/--where filter=/--filter staged/--staged/--cached/-c merge_base/--merge-base reverse/--reverse/-R include_cols=/--include-cols result_format=/--result-format/--format/-r skinny/--skinny diff_mode=/--diff-mode",
    "show": "data/--data/-d schema/--schema/-s stat/--stat summary/--summary name_only/--name-only limit=/--limit where=/--where filter=/--filter result_format=/--result-format/--format/-r diff_mode=/--diff-mode skinny/--skinny include_cols=/--include-cols parents/--parents decorate=/--decorate no_pretty/--no-pretty",
    "blame": "",
    "reflog": "all/--all",
    "count-commits": "from_=/--from/-f to=/--to/-t",
    "ls": "verbose/--verbose/-v system/--system/-s all/--all/-a",
    "docs print": "",
    "docs upload": "",
    "docs diff": "",
    "branch": "copy/--copy/-c move/--move/-m delete/--delete/-d delete_f/-D force/--force/-f list/--list/-l all/--all/-a remotes/--remotes/-r verbose/--verbose/-v show_current/--show-current track/--track/-t set_upstream_to=/--set-upstream-to/-u",
    "checkout": "new=/-b reset=/-B track=/--track/-t",
    "merge": "no_ff/--no-ff ff_only/--ff-only squash/--squash commit/--commit no_commit/--no-commit message=/--message/-m author=/--author date=/--date dont_merge_json/--dont-merge-json abort/--abort continue_/--continue",
    "cherry-pick": "no_commit/--no-commit/-n allow_empty/--allow-empty mainline=/--mainline dont_merge_json/--dont-merge-json abort/--abort continue_/--continue",
    "revert": "no_commit/--no-commit/-n author=/--author message=/--message/-m mainline=/--mainline abort/--abort continue_/--continue",
    "conflicts cat": "",
    "conflicts resolve": "ours/--ours theirs/--theirs",
    "constraints verify": "all/--all/-a output_only/--output-only/-o",
    "merge-base": "",
    "rebase": "interactive/--interactive/-i empty=/--empty abort/--abort continue_/--continue plan=/--plan",
    "squash-history": "message=/--message/-m first=/--first/-f meta=/--meta",
    "filter-branch": "query=/--query/-q branches/--branches/-b all/--all/-a apply_to_uncommitted/--apply-to-uncommitted continue_/--continue/-c verbose/--verbose/-v",
    "tag": "message=/--message/-m delete/--delete/-d list/--list/-l force/--force/-f verbose/--verbose/-v author=/--author",
    "remote": "verbose/--verbose/-v",
    "fetch": "prune/--prune/-p complete/--complete unshallow/--unshallow tags/--tags/-t all/--all",
    "pull": "rebase/--rebase/-r no_ff/--no-ff ff_only/--ff-only squash/--squash no_commit/--no-commit prune/--prune/-p",
    "push": "set_upstream/--set-upstream/-u force/--force/-f no_lease/--no-lease all/--all tags/--tags prune/--prune mirror/--mirror anew/--anew atomic/--atomic delete/--delete/-d",
    "ls-remote": "heads/--heads/--branches tags/--tags/-t",
    "fsck": "revive_journal_with_data_loss/--revive-journal-with-data-loss repair/--repair from_=/--from",
    "gc": "full/--full shallow/--shallow/-s compress=/--compress expire=/--expire remote=/--remote grace=/--grace dry_run/--dry-run/-n",
    "du": "",
    "retention": "",
    "erase": "where=/--where/-w query=/--query/-q dry_run/--dry-run/-n continue_/--continue/-c",
    "undrop": "",
    "purge-dropped-databases": "",
    "backup": "verbose/--verbose/-v at=/--at force/--force/-f anew/--anew",
    "backup restore": "at=/--at",
    "backup log": "",
    "backup forget": "keep=/--keep before=/--before damaged/--damaged dry_run/--dry-run/-n",
    "table import": "create_table/--create-table/-c update_table/--update-table/-u append_table/--append-table/-a replace_table/--replace-table/-r force/--force/-f pk=/--pk schema=/--schema/-s all_text/--all-text no_header/--no-header columns=/--columns delim=/--delim file_type=/--file-type sheet=/--sheet null=/--null map=/--map/-m continue_/--continue rejects=/--rejects quiet/--quiet disable_fk_checks/--disable-fk-checks",
    "table export": "force/--force/-f file_type=/--file-type delim=/--delim no_header/--no-header map=/--map/-m",
    "table cp": "force/--force/-f",
    "table mv": "force/--force/-f",
    "table rm": "",
    "schema show": "",
    "schema import": "create/--create/-c update/--update/-u replace/--replace/-r dry_run/--dry-run pks=/--pks keep_types/--keep-types map=/--map/-m delim=/--delim file_type=/--file-type",
    "schema export": "force/--force/-f",
    "dump": "result_format=/--result-format/-r force/--force/-f file_name=/--file-name/--fn directory=/--directory/-d schema_only/--schema-only no_batch/--no-batch no_autocommit/--no-autocommit no_create_db/--no-create-db",
    "ingest": "table=/--table/-t query=/--query/-q as_=/--as key=/--key message=/--message/-m retries=/--retries restart/--restart",
    "data lock": "config=/--config lock=/--lock upgrade=/--upgrade/-U upgrade_all/--upgrade-all check/--check",
    "data items": "config=/--config lock=/--lock split=/--split frozen/--frozen shared_keys/--shared-keys",
    "data verify": "config=/--config lock=/--lock",
    "data status": "config=/--config lock=/--lock",
    "data retrain": "config=/--config lock=/--lock json/--json against=/--against",
    "data export": "config=/--config lock=/--lock split=/--split output=/--output/-o directory=/--directory/-d force/--force/-f",
    "data diff": "config=/--config",
    "run start": "system=/--system external_id=/--external-id parent=/--parent job=/--job params=/--params git_sha=/--git-sha git_dirty/--git-dirty branch=/--branch base=/--base user=/--user host=/--host message=/--message/-m",
    "run end": "state=/--state error=/--error result_commit=/--result-commit",
    "run list": "system=/--system state=/--state job=/--job parent=/--parent dead/--dead older=/--older limit=/--limit/-n",
    "run show": "",
    "run record": "inputs=/--inputs outputs=/--outputs",
    "run of": "",
    "lineage": "up/--up down/--down depth=/--depth format=/--format",
    "lineage impact": "commit/--commit",
    "lineage why": "key=/--key limit=/--limit/-n",
    "lineage export": "openlineage=/--openlineage namespace=/--namespace run=/--run",
    "lineage import": "openlineage=/--openlineage namespace=/--namespace",
    "config": "global_/--global local/--local set/--set get/--get unset/--unset list/--list/-l",
    "version": "verbose/--verbose/-v feature/--feature/-f",
}


@dataclass(frozen=True, slots=True)
class ReadTablesRow(Row):
    """A row of what `read-tables` answers."""

    table: str


@dataclass(frozen=True, slots=True)
class StatusRow(Row):
    """A row of what `status` answers."""

    table_name: str
    staged: bool
    status: str


@dataclass(frozen=True, slots=True)
class CommitRow(Row):
    """A row of what `commit` answers."""

    hash: str


@dataclass(frozen=True, slots=True)
class StashRow(Row):
    """A row of what `stash` answers."""

    name: str
    stash_id: str
    branch: str
    hash: str
    commit_message: str


@dataclass(frozen=True, slots=True)
class LogRow(Row):
    """A row of what `log` answers."""

    commit_hash: str
    committer: str
    email: str
    date: datetime
    message: str
    author: str
    author_email: str
    author_date: datetime
    parents: str
    refs: str
    meta: str


@dataclass(frozen=True, slots=True)
class ReflogRow(Row):
    """A row of what `reflog` answers."""

    ref: str
    ref_timestamp: datetime
    commit_hash: str
    commit_message: str


@dataclass(frozen=True, slots=True)
class CountCommitsRow(Row):
    """A row of what `count-commits` answers."""

    ahead: int
    behind: int


@dataclass(frozen=True, slots=True)
class LsRow(Row):
    """A row of what `ls` answers."""

    table_name: str
    hash: str
    rows: int


@dataclass(frozen=True, slots=True)
class DocsPrintRow(Row):
    """A row of what `docs print` answers."""

    doc_text: str


@dataclass(frozen=True, slots=True)
class BranchRow(Row):
    """A row of what `branch` answers."""

    name: str
    hash: str
    latest_commit_message: str


@dataclass(frozen=True, slots=True)
class CheckoutRow(Row):
    """A row of what `checkout` answers."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class MergeRow(Row):
    """A row of what `merge` answers."""

    hash: str
    fast_forward: int
    conflicts: int
    message: str


@dataclass(frozen=True, slots=True)
class CherryPickRow(Row):
    """A row of what `cherry-pick` answers."""

    hash: str
    data_conflicts: int
    schema_conflicts: int
    constraint_violations: int
    status: int


@dataclass(frozen=True, slots=True)
class RevertRow(Row):
    """A row of what `revert` answers."""

    hash: str
    data_conflicts: int
    schema_conflicts: int
    constraint_violations: int
    status: int


@dataclass(frozen=True, slots=True)
class MergeBaseRow(Row):
    """A row of what `merge-base` answers."""

    hash: str


@dataclass(frozen=True, slots=True)
class SquashHistoryRow(Row):
    """A row of what `squash-history` answers."""

    hash: str


@dataclass(frozen=True, slots=True)
class FilterBranchRow(Row):
    """A row of what `filter-branch` answers."""

    commit: str
    new_commit: str


@dataclass(frozen=True, slots=True)
class TagRow(Row):
    """A row of what `tag` answers."""

    tag_name: str
    tag_hash: str
    tagger: str
    email: str
    date: datetime
    message: str


@dataclass(frozen=True, slots=True)
class RemoteRow(Row):
    """A row of what `remote` answers."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class FetchRow(Row):
    """A row of what `fetch` answers."""

    status: int


@dataclass(frozen=True, slots=True)
class PullRow(Row):
    """A row of what `pull` answers."""

    fast_forward: bool
    conflicts: bool
    message: str


@dataclass(frozen=True, slots=True)
class PushRow(Row):
    """A row of what `push` answers."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class LsRemoteRow(Row):
    """A row of what `ls-remote` answers."""

    hash: str
    ref: str


@dataclass(frozen=True, slots=True)
class FsckRow(Row):
    """A row of what `fsck` answers."""

    problem: str


@dataclass(frozen=True, slots=True)
class GcRow(Row):
    """A row of what `gc` answers."""

    status: int
    bytes_before: int
    bytes_after: int
    chunks_in_use: int
    chunks_removed: int
    packs_removed: int
    packs_written: int
    garbage_left: int
    moves_forgotten: int
    chunks_compressed: int
    bytes_saved: int


@dataclass(frozen=True, slots=True)
class DuRow(Row):
    """A row of what `du` answers."""

    kind: str
    name: str
    bytes: int
    own_bytes: int
    shared_percent: int
    uncompressed_bytes: int


@dataclass(frozen=True, slots=True)
class EraseRow(Row):
    """A row of what `erase` answers."""

    commit_hash: str
    new_commit_hash: str
    table_name: str
    rows_removed: int
    rows_modified: int


@dataclass(frozen=True, slots=True)
class BackupRow(Row):
    """A row of what `backup` answers."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BackupLogRow(Row):
    """A row of what `backup log` answers."""

    time: datetime
    branches: int
    tags: int
    uncommitted: int


@dataclass(frozen=True, slots=True)
class BackupForgetRow(Row):
    """A row of what `backup forget` answers."""

    time: datetime
    forgotten: bool


@dataclass(frozen=True, slots=True)
class TableImportRow(Row):
    """A row of what `table import` answers."""

    rows_processed: int
    additions: int
    modifications: int
    had_no_effect: int
    lines_skipped: int


@dataclass(frozen=True, slots=True)
class TableExportRow(Row):
    """A row of what `table export` answers."""

    rows: int


@dataclass(frozen=True, slots=True)
class SchemaShowRow(Row):
    """A row of what `schema show` answers."""

    table_name: str
    create_statement: str


@dataclass(frozen=True, slots=True)
class DataLockRow(Row):
    """A row of what `data lock` answers."""

    split: str
    item: str
    commit: str
    rows: int
    state: str


@dataclass(frozen=True, slots=True)
class DataItemsRow(Row):
    """A row of what `data items` answers."""

    split: str
    item: str
    directory: str
    database: str
    table: str
    ref: str
    commit: str
    rows: int
    columns: str
    where: str
    primary_key: str
    table_hash: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class DataVerifyRow(Row):
    """A row of what `data verify` answers."""

    split: str
    item: str
    state: str
    problem: str


@dataclass(frozen=True, slots=True)
class DataStatusRow(Row):
    """A row of what `data status` answers."""

    split: str
    item: str
    changed: bool
    rows_added: int
    rows_removed: int
    rows_modified: int
    percent: float
    schema: str
    retrain: bool
    reasons: str


@dataclass(frozen=True, slots=True)
class DataRetrainRow(Row):
    """A row of what `data retrain` answers."""

    split: str
    item: str
    changed: bool
    rows_added: int
    rows_removed: int
    rows_modified: int
    percent: float
    schema: str
    retrain: bool
    reasons: str


@dataclass(frozen=True, slots=True)
class DataExportRow(Row):
    """A row of what `data export` answers."""

    item: str
    file: str
    rows: int


@dataclass(frozen=True, slots=True)
class DataDiffRow(Row):
    """A row of what `data diff` answers."""

    split: str
    item: str
    change: str
    rows_added: int
    rows_removed: int
    rows_modified: int


@dataclass(frozen=True, slots=True)
class RunStartRow(Row):
    """A row of what `run start` answers."""

    run_uid: str
    system: str
    external_id: str
    parent_uid: str
    job: str
    started_at: datetime
    ended_at: datetime
    state: str
    user: str
    host: str
    git_sha: str
    git_dirty: bool
    params: str
    error: str
    base_commit: str
    result_commit: str
    branch: str
    message: str
    dropped_inputs: int


@dataclass(frozen=True, slots=True)
class RunEndRow(Row):
    """A row of what `run end` answers."""

    run_uid: str
    system: str
    external_id: str
    parent_uid: str
    job: str
    started_at: datetime
    ended_at: datetime
    state: str
    user: str
    host: str
    git_sha: str
    git_dirty: bool
    params: str
    error: str
    base_commit: str
    result_commit: str
    branch: str
    message: str
    dropped_inputs: int


@dataclass(frozen=True, slots=True)
class RunListRow(Row):
    """A row of what `run list` answers."""

    run_uid: str
    system: str
    external_id: str
    parent_uid: str
    job: str
    started_at: datetime
    ended_at: datetime
    state: str
    user: str
    host: str
    git_sha: str
    git_dirty: bool
    params: str
    error: str
    base_commit: str
    result_commit: str
    branch: str
    message: str
    dropped_inputs: int


@dataclass(frozen=True, slots=True)
class RunShowRow(Row):
    """A row of what `run show` answers."""

    run_uid: str
    system: str
    external_id: str
    parent_uid: str
    job: str
    started_at: datetime
    ended_at: datetime
    state: str
    user: str
    host: str
    git_sha: str
    git_dirty: bool
    params: str
    error: str
    base_commit: str
    result_commit: str
    branch: str
    message: str
    dropped_inputs: int


@dataclass(frozen=True, slots=True)
class RunRecordRow(Row):
    """A row of what `run record` answers."""

    run_uid: str
    system: str
    external_id: str
    parent_uid: str
    job: str
    started_at: datetime
    ended_at: datetime
    state: str
    user: str
    host: str
    git_sha: str
    git_dirty: bool
    params: str
    error: str
    base_commit: str
    result_commit: str
    branch: str
    message: str
    dropped_inputs: int


@dataclass(frozen=True, slots=True)
class RunOfRow(Row):
    """A row of what `run of` answers."""

    run_uid: str
    how: str
    commit_hash: str
    table_name: str
    before_hash: str
    after_hash: str
    node: str
    system: str
    external_id: str
    job: str
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class LineageRow(Row):
    """A row of what `lineage` answers."""

    direction: str
    level: int
    kind: str
    db: str
    table_name: str
    table_hash: str
    commit_hash: str
    run_uid: str
    how: str
    system: str
    job: str
    state: str
    node: str
    note: str
    external_id: str


@dataclass(frozen=True, slots=True)
class LineageImpactRow(Row):
    """A row of what `lineage impact` answers."""

    kind: str
    name: str
    table_hash: str
    commit_hash: str
    run_uid: str
    level: int


@dataclass(frozen=True, slots=True)
class LineageWhyRow(Row):
    """A row of what `lineage why` answers."""

    row: str
    run_uid: str
    run_how: str
    commit_hash: str
    db: str
    table_name: str
    table_hash: str
    table_commit: str
    how: str
    matched_on: str
    input_row: str
    note: str


@dataclass(frozen=True, slots=True)
class LineageExportRow(Row):
    """A row of what `lineage export` answers."""

    events: int


@dataclass(frozen=True, slots=True)
class LineageImportRow(Row):
    """A row of what `lineage import` answers."""

    events: int
    skipped: int
    runs: int
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class VersionRow(Row):
    """A row of what `version` answers."""

    name: str
    value: str


class Verbs:
    """The verbs of stemma. Each method has the name and the parameters of the command; docs of both are the same."""

    def _op(self, op: str, row: type[R], args: Mapping[str, Any]) -> Result[R]:
        raise NotImplementedError

    def init(
        self,
        dir: str | None = None,
        *,
        name: str | None = None,
        email: str | None = None,
        date: str | None = None,
        initial_branch: str | None = None,
    ) -> Result[Row]:
        """Create an empty database in this directory, or another.

        The database's name is that of the directory. Everything it holds is in the directory .stemma (.dolt when the program is called
        dolt). It begins with one branch and one commit. At the URL of a bucket, or file:// of a directory that several machines see, it is made for servers
        with --store and programs that work on it there. Of those who make one there at the same moment one does, and the others are refused.

        Args:
            dir: where the database is to be: a directory, made when it is not there, or a place in a bucket; otherwise this directory.
            name: author of the first commit.
            email: mail address of that author.
            date: time of the first commit.
            initial_branch: name of the first branch (default: init.defaultbranch, else main).

        """
        return self._op(
            "init",
            Row,
            {
                "dir": dir,
                "name": name,
                "email": email,
                "date": date,
                "initial_branch": initial_branch,
            },
        )

    def clone(
        self,
        url: str,
        dir: str | None = None,
        *,
        remote: str | None = None,
        branch: str | None = None,
        single_branch: bool = False,
        depth: int | None = None,
        rev: str | None = None,
        tables: str | None = None,
        lazy: bool = False,
        cache: int | None = None,
    ) -> Result[Row]:
        """Make a database of a remote.

        The database has the remote's branches as origin/<branch>, one of them as a branch of its own that follows it, and all tags. A clone
        that was interrupted is no database yet, and goes on where it stopped when it is repeated.

        With --depth, --tables or --lazy the database is a part of the remote's. It knows what it lacks: what needs more than is there says so, and
        'fetch --complete' brings the rest.

        Args:
            url: where the remote is.
            dir: the directory to be made, or an empty one; otherwise one named after the remote.
            remote: what the remote is called here.
            branch: the branch to check out; otherwise main, or the only one, or the first.
            single_branch: take the history of that branch only, and no tags.
            depth: take the newest n commits only, of that branch; the others can be fetched later.
            rev: take the history of this commit or tag, as the branch that is named or the remote's default.
            tables: take these tables only; the others can be fetched later.
            lazy: take commits only; rows come from the remote when they are read, and the last of them are kept.
            cache: with --lazy: how much of what was read is kept.

        """
        return self._op(
            "clone",
            Row,
            {
                "url": url,
                "dir": dir,
                "remote": remote,
                "branch": branch,
                "single_branch": single_branch,
                "depth": depth,
                "rev": rev,
                "tables": tables,
                "lazy": lazy,
                "cache": cache,
            },
        )

    def read_tables(
        self,
        url: str,
        commit: str,
        *tables: str,
        dir: str | None = None,
    ) -> Result[ReadTablesRow]:
        """Make a database of tables of a remote.

        The tables are in the working set of the new database, not committed, as they are in a commit of the remote. The database has no history
        of them and does not follow the remote: see clone.

        Args:
            url: where the remote is.
            commit: a branch, a tag or a commit of the remote.
            tables: the tables; all of them otherwise.
            dir: the directory to be made, or an empty one; otherwise one named after the remote.

        """
        return self._op(
            "read-tables",
            ReadTablesRow,
            {
                "url": url,
                "commit": commit,
                "tables": tables,
                "dir": dir,
            },
        )

    def status(
        self,
        *,
        ignored: bool = False,
    ) -> Result[StatusRow]:
        """Show the working tree status.

        Args:
            ignored: show new tables that dolt_ignore names, too.

        """
        return self._op(
            "status",
            StatusRow,
            {
                "ignored": ignored,
            },
        )

    def add(
        self,
        *tables: str,
        all: bool = False,
        force: bool = False,
        branch: str | None = None,
    ) -> Result[Row]:
        """Stage tables for the next commit.

        Args:
            tables: tables to stage; . is all of them.
            all: stage every changed, new and dropped table.
            force: stage new tables that dolt_ignore names, too.
            branch: stage on this branch rather than the checked-out one.

        """
        return self._op(
            "add",
            Row,
            {
                "tables": tables,
                "all": all,
                "force": force,
                "branch": branch,
            },
        )

    def commit(
        self,
        message: str | None = None,
        *,
        all: bool = False,
        ALL: bool = False,
        amend: bool = False,
        allow_empty: bool = False,
        skip_empty: bool = False,
        date: str | None = None,
        author: str | None = None,
        meta: Sequence[str] | str = (),
        branch: str | None = None,
    ) -> Result[CommitRow]:
        """Record changes in the history.

        Commits what is staged. Without -m the message is written in the editor that the setting core.editor or STEMMA_EDITOR names, or on a
        terminal VISUAL or EDITOR; lines that begin with # are not part of it.

        Args:
            message: the commit's message.
            all: stage changed and dropped tables first.
            ALL: stage every table first, new ones too.
            amend: replace the last commit.
            allow_empty: commit even when nothing has changed.
            skip_empty: do nothing, and succeed, when nothing has changed.
            date: the author's time.
            author: the author.
            meta: structured metadata; may be repeated.
            branch: commit on this branch rather than the checked-out one.

        """
        return self._op(
            "commit",
            CommitRow,
            {
                "message": message,
                "all": all,
                "ALL": ALL,
                "amend": amend,
                "allow_empty": allow_empty,
                "skip_empty": skip_empty,
                "date": date,
                "author": author,
                "meta": meta,
                "branch": branch,
            },
        )

    def rm(
        self,
        *tables: str,
        cached: bool = False,
        force: bool = False,
    ) -> Result[Row]:
        """Remove tables from the working set and from the next commit.

        Args:
            tables: tables to remove.
            cached: take the tables from the staged set only; the working set keeps them, untracked.
            force: remove tables with changes that are not committed.

        """
        return self._op(
            "rm",
            Row,
            {
                "tables": tables,
                "cached": cached,
                "force": force,
            },
        )

    def clean(
        self,
        *tables: str,
        dry_run: bool = False,
        ignored: bool = False,
    ) -> Result[Row]:
        """Drop untracked tables from the working set.

        Args:
            tables: untracked tables to drop; all of them otherwise.
            dry_run: only say which tables would be dropped.
            ignored: drop ignored tables too.

        """
        return self._op(
            "clean",
            Row,
            {
                "tables": tables,
                "dry_run": dry_run,
                "ignored": ignored,
            },
        )

    def reset(
        self,
        *args: str,
        hard: bool = False,
        soft: bool = False,
        mixed: bool = False,
    ) -> Result[Row]:
        """Unstage tables, or set the branch to another commit.

        Args:
            args: a commit; tables to unstage, . for all; or a commit and tables to stage as they are there.
            hard: set branch, staged and working set to the commit; changes are lost.
            soft: move the branch only.
            mixed: move the branch and unstage everything; this is the default.

        """
        return self._op(
            "reset",
            Row,
            {
                "args": args,
                "hard": hard,
                "soft": soft,
                "mixed": mixed,
            },
        )

    def stash(
        self,
        *args: str,
        include_untracked: bool = False,
        all: bool = False,
        patch: bool = False,
        message: str | None = None,
    ) -> Result[StashRow]:
        """Set uncommitted changes aside and bring them back.

        The changes are kept with the database, newest first, and the branch is as its last commit left it. pop and apply bring them to the
        branch that is checked out then, whichever it is, and merge them with what it has; pop removes them from the list. Where changes stand
        against them nothing happens and the stash is kept.

        Lists have names, which SQL procedures give behind the action; the command line uses the list dolt-cli unless one is named.

        Args:
            args: push (the default), list, show, pop, apply, drop or clear; the name of a list of stashes; which stash of it: 2 or stash@{2}.
            include_untracked: new tables as well.
            all: new tables as well, and those that dolt_ignore names.
            patch: with show: the changed rows, not only how many.
            message: what the list of stashes says; otherwise the message of the last commit.

        """
        return self._op(
            "stash",
            StashRow,
            {
                "args": args,
                "include_untracked": include_untracked,
                "all": all,
                "patch": patch,
                "message": message,
            },
        )

    def log(
        self,
        *args: str,
        number: int | None = None,
        oneline: bool = False,
        merges: bool = False,
        min_parents: int | None = None,
        graph: bool = False,
        stat: bool = False,
        parents: bool = False,
        decorate: Literal["short", "full", "auto", "no"] | None = None,
        all: bool = False,
        not_: Sequence[str] | str = (),
        tables: Sequence[str] | str = (),
    ) -> Result[LogRow]:
        """Show commits.

        Args:
            args: where to begin; a..b is what b has and a has not; a table's name keeps the commits that changed it.
            number: show at most this many commits.
            oneline: one line a commit.
            merges: only commits with several parents.
            min_parents: only commits with at least this many parents.
            graph: draw the lines of history.
            stat: show numbers of changed rows and cells.
            parents: show the parents' hashes too.
            decorate: show the refs that name each commit.
            all: begin at every branch and tag.
            not_: leave out what these reach.
            tables: keep the commits that changed one of these tables.

        """
        return self._op(
            "log",
            LogRow,
            {
                "args": args,
                "number": number,
                "oneline": oneline,
                "merges": merges,
                "min_parents": min_parents,
                "graph": graph,
                "stat": stat,
                "parents": parents,
                "decorate": decorate,
                "all": all,
                "not": not_,
                "tables": tables,
            },
        )

    def diff(
        self,
        *args: str,
        data: bool = False,
        schema: bool = False,
        stat: bool = False,
        summary: bool = False,
        name_only: bool = False,
        limit: int | None = None,
        where: str | None = None,
        filter: Literal["added", "modified", "removed", "renamed", "dropped"] | None = None,
        staged: bool = False,
        merge_base: bool = False,
        reverse: bool = False,
        include_cols: Sequence[str] | str = (),
        result_format: Literal["tabular", "csv", "json", "vertical", "sql"] | None = None,
        skinny: bool = False,
        diff_mode: Literal["row", "line", "in-place", "context"] | None = None,
        tables: Sequence[str] | str = (),
    ) -> Result[Row]:
        """Show changes between commits, the working set and the staged set.

        Without a revision: what is not staged yet. With one: from it to the working set. With two, or a..b: from the first to the
        second. With a...b: from their common ancestor to the second. New tables of the working set that dolt_ignore names are shown when they
        are named only.

        Args:
            args: at most two revisions, then tables.
            data: show rows only.
            schema: show schemas only.
            stat: show numbers of changed rows and cells.
            summary: show which tables changed, and how.
            name_only: show the names of changed tables.
            limit: show at most this many changed rows a table.
            where: show only rows for which this condition of SQL is true; columns are called from_<column> and to_<column>.
            filter: show only changes of this kind.
            staged: show what the next commit would take.
            merge_base: begin at the common ancestor.
            reverse: exchange the two sides.
            include_cols: with --skinny: keep these columns.
            result_format: draw the answer in this form; sql is the statements that make the one state the other.
            skinny: leave out columns that no shown row changes.
            diff_mode: draw a modified row as two rows, as one with the old and new lines or characters of its cells, or, by default, as one where a cell has several lines.
            tables: tables.

        """
        return self._op(
            "diff",
            Row,
            {
                "args": args,
                "data": data,
                "schema": schema,
                "stat": stat,
                "summary": summary,
                "name_only": name_only,
                "limit": limit,
                "where": where,
                "filter": filter,
                "staged": staged,
                "merge_base": merge_base,
                "reverse": reverse,
                "include_cols": include_cols,
                "result_format": result_format,
                "skinny": skinny,
                "diff_mode": diff_mode,
                "tables": tables,
            },
        )

    def show(
        self,
        *args: str,
        data: bool = False,
        schema: bool = False,
        stat: bool = False,
        summary: bool = False,
        name_only: bool = False,
        limit: int | None = None,
        where: str | None = None,
        filter: Literal["added", "modified", "removed", "renamed", "dropped"] | None = None,
        result_format: Literal["tabular", "csv", "json", "vertical", "sql"] | None = None,
        diff_mode: Literal["row", "line", "in-place", "context"] | None = None,
        skinny: bool = False,
        include_cols: Sequence[str] | str = (),
        parents: bool = False,
        decorate: Literal["short", "full", "auto", "no"] | None = None,
        no_pretty: bool = False,
    ) -> Result[Row]:
        """Show commits with what they changed.

        A commit of several parents is compared with the first one.

        Args:
            args: the commits; the last one otherwise.
            data: show rows only.
            schema: show schemas only.
            stat: show numbers of changed rows and cells.
            summary: show which tables changed, and how.
            name_only: show the names of changed tables.
            limit: show at most this many changed rows a table.
            where: show only rows for which this condition of SQL is true; columns are called from_<column> and to_<column>.
            filter: show only changes of this kind.
            result_format: draw what the commit changed in this form; sql is the statements that make the change.
            diff_mode: how a modified row is drawn: see diff.
            skinny: leave out columns that no shown row changes.
            include_cols: with --skinny: keep these columns.
            parents: show the parents' hashes too.
            decorate: show the refs that name each commit.
            no_pretty: show what is stored of each commit, and not what it changed.

        """
        return self._op(
            "show",
            Row,
            {
                "args": args,
                "data": data,
                "schema": schema,
                "stat": stat,
                "summary": summary,
                "name_only": name_only,
                "limit": limit,
                "where": where,
                "filter": filter,
                "result_format": result_format,
                "diff_mode": diff_mode,
                "skinny": skinny,
                "include_cols": include_cols,
                "parents": parents,
                "decorate": decorate,
                "no_pretty": no_pretty,
            },
        )

    def blame(
        self,
        *args: str,
    ) -> Result[Row]:
        """Show which commit each row of a table is of.

        Args:
            args: the table, behind a revision if it is not that of the last commit.

        """
        return self._op(
            "blame",
            Row,
            {
                "args": args,
            },
        )

    def reflog(
        self,
        ref: str | None = None,
        *,
        all: bool = False,
    ) -> Result[ReflogRow]:
        """Show which commits branches and tags have named.

        The newest move comes first. What is kept is of this directory: it is neither pushed nor cloned. Moves older than 90 days go, and
        all but the newest 10,000, but of every ref the last one stays.

        Args:
            ref: a branch or a tag, which may have been removed since.
            all: show all refs; there are none but branches and tags.

        """
        return self._op(
            "reflog",
            ReflogRow,
            {
                "ref": ref,
                "all": all,
            },
        )

    def count_commits(
        self,
        *,
        from_: str | None = None,
        to: str | None = None,
    ) -> Result[CountCommitsRow]:
        """Count the commits that two revisions do not share.

        Args:
            from_: count what this has and the other has not.
            to: and the other way round.

        """
        return self._op(
            "count-commits",
            CountCommitsRow,
            {
                "from": from_,
                "to": to,
            },
        )

    def ls(
        self,
        revision: str | None = None,
        *,
        verbose: bool = False,
        system: bool = False,
        all: bool = False,
    ) -> Result[LsRow]:
        """List tables and views.

        Args:
            revision: list those of a commit; the working set's otherwise.
            verbose: show hashes and numbers of rows.
            system: list system tables only.
            all: list system tables, too.

        """
        return self._op(
            "ls",
            LsRow,
            {
                "revision": revision,
                "verbose": verbose,
                "system": system,
                "all": all,
            },
        )

    def docs_print(
        self,
        name: str,
    ) -> Result[DocsPrintRow]:
        """Print a document of the database.

        Args:
            name: README.md, LICENSE.md or AGENT.md.

        """
        return self._op(
            "docs print",
            DocsPrintRow,
            {
                "name": name,
            },
        )

    def docs_upload(
        self,
        name: str,
        file: str,
    ) -> Result[Row]:
        """Keep a document in the database.

        The documents are rows of the table dolt_docs, which is versioned like any other.

        Args:
            name: README.md, LICENSE.md or AGENT.md.
            file: where its text is.

        """
        return self._op(
            "docs upload",
            Row,
            {
                "name": name,
                "file": file,
            },
        )

    def docs_diff(
        self,
        name: str,
    ) -> Result[Row]:
        """Show how a document differs from that of the last commit.

        Args:
            name: README.md, LICENSE.md or AGENT.md.

        """
        return self._op(
            "docs diff",
            Row,
            {
                "name": name,
            },
        )

    def branch(
        self,
        *args: str,
        copy: bool = False,
        move: bool = False,
        delete: bool = False,
        delete_f: bool = False,
        force: bool = False,
        list: bool = False,
        all: bool = False,
        remotes: bool = False,
        verbose: bool = False,
        show_current: bool = False,
        track: bool = False,
        set_upstream_to: str | None = None,
    ) -> Result[BranchRow]:
        """List, create, rename or delete branches.

        Args:
            args: a new branch and where it begins; or branches to act on.
            copy: copy a branch.
            move: rename a branch.
            delete: delete branches that others contain.
            delete_f: delete branches, whatever is lost.
            force: take a name that is in use.
            list: list branches, those whose names match one of the patterns if any is given: * stands for any characters, ? for one, [a-f] for one of these.
            all: list remote branches too.
            remotes: list remote branches only.
            verbose: list hashes and messages too.
            show_current: print the checked-out branch.
            track: make the new branch follow its start point, a branch.
            set_upstream_to: make a branch, the checked-out one unless named, follow this one.

        """
        return self._op(
            "branch",
            BranchRow,
            {
                "args": args,
                "copy": copy,
                "move": move,
                "delete": delete,
                "delete_f": delete_f,
                "force": force,
                "list": list,
                "all": all,
                "remotes": remotes,
                "verbose": verbose,
                "show_current": show_current,
                "track": track,
                "set_upstream_to": set_upstream_to,
            },
        )

    def checkout(
        self,
        *args: str,
        new: str | None = None,
        reset: str | None = None,
        track: str | None = None,
        dash: Sequence[str] | str = (),
    ) -> Result[CheckoutRow]:
        """Switch branches or restore tables.

        With a branch: later commands work on it; - is the one that was checked out before. Uncommitted changes stay with the branch on which they were made; each branch has a
        working set of its own.

        With tables: their working state is set back to the staged one, or to that of the revision given before them.

        Args:
            args: a branch; a revision and tables; or tables.
            new: make the branch first.
            reset: make the branch first, or move it when it exists.
            track: make the new branch follow this one, where it begins.
            dash: tables.

        """
        return self._op(
            "checkout",
            CheckoutRow,
            {
                "args": args,
                "new": new,
                "reset": reset,
                "track": track,
                "dash": dash,
            },
        )

    def merge(
        self,
        *args: str,
        no_ff: bool = False,
        ff_only: bool = False,
        squash: bool = False,
        commit: bool = False,
        no_commit: bool = False,
        message: str | None = None,
        author: str | None = None,
        date: str | None = None,
        dont_merge_json: bool = False,
        abort: bool = False,
        continue_: bool = False,
    ) -> Result[MergeRow]:
        """Join another branch's changes to this one.

        Rows that only one branch changed are taken over, and of rows that both changed each column by itself. What stands against each other
        is listed: see it with 'conflicts cat', settle it with 'conflicts resolve' or in the tables dolt_conflicts_<table>, then commit.

        Args:
            args: the branch or commit to merge.
            no_ff: make a merge commit even where the branch could be moved forward.
            ff_only: move the branch forward or fail.
            squash: leave the result staged, as one change without a second parent.
            commit: make the merge commit; this is the default.
            no_commit: leave the result staged, for a commit that ends the merge.
            message: the merge commit's message.
            author: the author.
            date: the author's time.
            dont_merge_json: take documents that both sides changed for a conflict, whatever they changed in them.
            abort: give up the merge in progress and go back to the state before it.
            continue_: commit the merge in progress.

        """
        return self._op(
            "merge",
            MergeRow,
            {
                "args": args,
                "no_ff": no_ff,
                "ff_only": ff_only,
                "squash": squash,
                "commit": commit,
                "no_commit": no_commit,
                "message": message,
                "author": author,
                "date": date,
                "dont_merge_json": dont_merge_json,
                "abort": abort,
                "continue": continue_,
            },
        )

    def cherry_pick(
        self,
        *args: str,
        no_commit: bool = False,
        allow_empty: bool = False,
        mainline: int | None = None,
        dont_merge_json: bool = False,
        abort: bool = False,
        continue_: bool = False,
    ) -> Result[CherryPickRow]:
        """Apply the changes of existing commits.

        Of several commits each becomes one of its own. The first whose change conflicts is left in progress: what was picked before
        it stays, and what comes behind it is to be picked again afterwards.

        Args:
            args: the commits; a..b is those that b reaches and a does not, oldest first.
            no_commit: leave the result staged.
            allow_empty: commit even when nothing changes.
            mainline: the parent, from 1, against which a merge counts as a change.
            dont_merge_json: take documents that both sides changed for a conflict, whatever they changed in them.
            abort: give up the cherry-pick in progress.
            continue_: commit the cherry-pick in progress.

        """
        return self._op(
            "cherry-pick",
            CherryPickRow,
            {
                "args": args,
                "no_commit": no_commit,
                "allow_empty": allow_empty,
                "mainline": mainline,
                "dont_merge_json": dont_merge_json,
                "abort": abort,
                "continue": continue_,
            },
        )

    def revert(
        self,
        *args: str,
        no_commit: bool = False,
        author: str | None = None,
        message: str | None = None,
        mainline: int | None = None,
        abort: bool = False,
        continue_: bool = False,
    ) -> Result[RevertRow]:
        """Undo the changes of existing commits.

        Args:
            args: the commits, each undone by a commit of its own.
            no_commit: leave the result staged.
            author: the author.
            message: the message.
            mainline: the parent, from 1, to which a merge is taken back.
            abort: give up the revert in progress.
            continue_: commit the revert in progress.

        """
        return self._op(
            "revert",
            RevertRow,
            {
                "args": args,
                "no_commit": no_commit,
                "author": author,
                "message": message,
                "mainline": mainline,
                "abort": abort,
                "continue": continue_,
            },
        )

    def conflicts_cat(
        self,
        *tables: str,
    ) -> Result[Row]:
        """Show the conflicts of a merge.

        Args:
            tables: tables, . for all.

        """
        return self._op(
            "conflicts cat",
            Row,
            {
                "tables": tables,
            },
        )

    def conflicts_resolve(
        self,
        *tables: str,
        ours: bool = False,
        theirs: bool = False,
    ) -> Result[Row]:
        """Settle the conflicts of a merge by taking one side.

        Args:
            tables: tables, . for all.
            ours: keep what this branch has.
            theirs: take what the merged branch has.

        """
        return self._op(
            "conflicts resolve",
            Row,
            {
                "tables": tables,
                "ours": ours,
                "theirs": theirs,
            },
        )

    def constraints_verify(
        self,
        *tables: str,
        all: bool = False,
        output_only: bool = False,
    ) -> Result[Row]:
        """Look for rows that violate constraints.

        Args:
            tables: tables; all when none is named.
            all: look at all rows, not only those that differ from the last commit.
            output_only: only tell, do not list them in dolt_constraint_violations.

        """
        return self._op(
            "constraints verify",
            Row,
            {
                "tables": tables,
                "all": all,
                "output_only": output_only,
            },
        )

    def merge_base(
        self,
        *args: str,
    ) -> Result[MergeBaseRow]:
        """Find the newest common ancestor of two commits.

        Args:
            args: two branches or commits.

        """
        return self._op(
            "merge-base",
            MergeBaseRow,
            {
                "args": args,
            },
        )

    def rebase(
        self,
        *args: str,
        interactive: bool = False,
        empty: str | None = None,
        abort: bool = False,
        continue_: bool = False,
        plan: str | None = None,
    ) -> Result[Row]:
        """Make the commits of this branch again on top of another.

        The commits that the branch has and the upstream has not, merges left out, are made again one after the other on the branch
        dolt_rebase_<branch>, to which the branch moves in the end. Where changes stand against each other it stops: settle the conflicts, stage
        the tables, and go on with --continue, or go back with --abort.

        With -i the plan can be changed first. Where an editor is set (the setting core.editor or STEMMA_EDITOR; on a terminal VISUAL or EDITOR, too)
        the command line opens it with the plan: a line for each commit with action (pick, drop, reword, edit, squash or fixup), hash and message.
        Otherwise it stops, and the plan is a table, dolt_rebase: rebase_order, action, commit_hash and commit_message. Change it with SQL and go on
        with --continue.

        Args:
            args: the branch or commit on which the commits are put.
            interactive: stop before the first commit, so that the plan can be changed in the table dolt_rebase.
            empty: what becomes of commits whose change is there already; otherwise they are dropped.
            abort: give up the rebase in progress.
            continue_: go on with the rebase in progress.
            plan: with --continue: the steps that are left, instead of those in dolt_rebase: a line each of action, commit and message; none give up the rebase.

        """
        return self._op(
            "rebase",
            Row,
            {
                "args": args,
                "interactive": interactive,
                "empty": empty,
                "abort": abort,
                "continue": continue_,
                "plan": plan,
            },
        )

    def squash_history(
        self,
        message: str | None = None,
        *,
        first: str | None = None,
        meta: Sequence[str] | str = (),
    ) -> Result[SquashHistoryRow]:
        """Make one commit of the newest part of the history.

        The new commit has the tables of HEAD and the parents of the oldest commit that becomes part of it. No table is touched. What only the
        replaced commits held is reachable through other branches and tags, or not any more.

        Args:
            message: the message of the new commit.
            first: the oldest commit that becomes part of it; otherwise the one behind the first of all.
            meta: structured metadata; may be repeated.

        """
        return self._op(
            "squash-history",
            SquashHistoryRow,
            {
                "message": message,
                "first": first,
                "meta": meta,
            },
        )

    def filter_branch(
        self,
        after: str | None = None,
        *,
        query: str | None = None,
        branches: bool = False,
        all: bool = False,
        apply_to_uncommitted: bool = False,
        continue_: bool = False,
        verbose: bool = False,
    ) -> Result[FilterBranchRow]:
        """Rewrite the history with statements of SQL.

        Runs the statements on the tables of each commit but the first and makes the commits anew, with their authors, times, messages and
        metadata. What was is reachable through other branches and tags, or not any more. Nothing changes unless all goes well.

        Args:
            after: leave this commit, and those before it, as they are.
            query: the statements, with semicolons between; otherwise they are read from standard input.
            branches: rewrite all branches.
            all: rewrite all branches and tags.
            apply_to_uncommitted: run the statements on uncommitted tables as well.
            continue_: go on when a statement fails, which then changes nothing.
            verbose: list commits and what has become of them.

        """
        return self._op(
            "filter-branch",
            FilterBranchRow,
            {
                "after": after,
                "query": query,
                "branches": branches,
                "all": all,
                "apply_to_uncommitted": apply_to_uncommitted,
                "continue": continue_,
                "verbose": verbose,
            },
        )

    def tag(
        self,
        *args: str,
        message: str | None = None,
        delete: bool = False,
        list: bool = False,
        force: bool = False,
        verbose: bool = False,
        author: str | None = None,
    ) -> Result[TagRow]:
        """List, create or delete tags.

        Args:
            args: a new tag and the commit it names; or tags to delete.
            message: why.
            delete: delete tags.
            list: list tags, those whose names match one of the patterns if any is given.
            force: move a tag that exists.
            verbose: list commits, taggers and messages too.
            author: the tagger.

        """
        return self._op(
            "tag",
            TagRow,
            {
                "args": args,
                "message": message,
                "delete": delete,
                "list": list,
                "force": force,
                "verbose": verbose,
                "author": author,
            },
        )

    def remote(
        self,
        *args: str,
        verbose: bool = False,
    ) -> Result[RemoteRow]:
        """Name the places to which the database is pushed.

        A remote is a place that databases are pushed to and cloned from. Its URL is file:///path/to/directory, which need not exist; a path
        that begins with / or ./ means the same. Buckets are s3://bucket/path, gs://bucket/path and az://container/path, with the credentials that the clouds' own
        tools use; a database of a server is https://host:port/database.

        Args:
            args: add, remove, rename, get-url, set-url or prune, and what it takes.
            verbose: list URLs too.

        """
        return self._op(
            "remote",
            RemoteRow,
            {
                "args": args,
                "verbose": verbose,
            },
        )

    def fetch(
        self,
        remote: str | None = None,
        *refs: str,
        prune: bool = False,
        complete: bool = False,
        unshallow: bool = False,
        tags: bool = False,
        all: bool = False,
    ) -> Result[FetchRow]:
        """Bring commits from a remote.

        The branches of the remote are called <remote>/<branch> here and can be named wherever a revision can. Branches of the database stay
        as they are: merge what was fetched, or use pull. Tags that are new come, too. A fetch that was interrupted has changed nothing, and
        goes on where it stopped when it is repeated.

        Args:
            remote: the name of a remote; otherwise the one that the branch follows, or origin.
            refs: only these branches and tags.
            prune: forget branches of the remote that are gone there.
            complete: bring all that a database lacks which was cloned with --depth, --tables or --lazy.
            unshallow: bring the older history that a database lacks which was cloned with --depth.
            tags: bring new tags also where branches are named.
            all: fetch from all remotes.

        """
        return self._op(
            "fetch",
            FetchRow,
            {
                "remote": remote,
                "refs": refs,
                "prune": prune,
                "complete": complete,
                "unshallow": unshallow,
                "tags": tags,
                "all": all,
            },
        )

    def pull(
        self,
        remote: str | None = None,
        branch: str | None = None,
        *,
        rebase: bool = False,
        no_ff: bool = False,
        ff_only: bool = False,
        squash: bool = False,
        no_commit: bool = False,
        prune: bool = False,
    ) -> Result[PullRow]:
        """Fetch from a remote and merge.

        Args:
            remote: the name of a remote; otherwise the one that the branch follows, or origin.
            branch: the branch of the remote; otherwise the one that the branch follows, or the one of its name.
            rebase: make the branch's own commits again on top of what was fetched, instead of a merge.
            no_ff: make a merge commit even where the branch could be moved forward.
            ff_only: move the branch forward or fail.
            squash: leave the result staged, as one change without a second parent.
            no_commit: leave the result staged, for a commit that ends the merge.
            prune: forget branches of the remote that are gone there.

        """
        return self._op(
            "pull",
            PullRow,
            {
                "remote": remote,
                "branch": branch,
                "rebase": rebase,
                "no_ff": no_ff,
                "ff_only": ff_only,
                "squash": squash,
                "no_commit": no_commit,
                "prune": prune,
            },
        )

    def push(
        self,
        remote: str | None = None,
        *refs: str,
        set_upstream: bool = False,
        force: bool = False,
        no_lease: bool = False,
        all: bool = False,
        tags: bool = False,
        prune: bool = False,
        mirror: bool = False,
        anew: bool = False,
        atomic: bool = False,
        delete: bool = False,
    ) -> Result[PushRow]:
        """Send commits to a remote.

        What the remote lacks is sent first; then its branches move. One who is slower than somebody else is refused and has lost nothing: fetch,
        merge, and push again. A push that was interrupted has changed no branch, and goes on where it stopped when it is repeated.

        --force moves a branch that would lose commits only if the remote's is the one that was last fetched or pushed: what others have pushed since is
        not lost unseen, or if 'erase' or 'retention apply' has made that commit anew here. At a URL that no remote here has nothing was seen, and --no-lease
        is needed too. Under the name dolt it moves the branch whatever is there.

        --mirror makes the remote what the database is. Branches and tags that are there and not here, as those of others in a plain clone, are named
        and nothing is changed; --prune removes them.

        --mirror --anew sends all of the database, also what the remote has, and lets no branch, tag or run name anything that was sent before; what a
        backup there remembers of its syncs is forgotten. After 'erase' that is what makes 'gc --remote' remove the rows there. What others commit there
        meanwhile makes it fail, whatever is forced, and is kept.
        What others told of runs, where it is damaged there and not known here, is given up, and a warning says so.

        Args:
            remote: the name of a remote or a URL; otherwise the remote that the branch follows, or origin.
            refs: a branch or a tag, <here>:<there> for another name there, :<there> to remove it; + before it forces it.
            set_upstream: make the branches follow those that they are pushed to.
            force: move branches of the remote that would lose commits, if they are as they were last seen, and tags that are there.
            no_lease: with --force: whatever has become of the branches since they were last seen.
            all: push all branches.
            tags: push all tags as well.
            prune: with --all: remove branches of the remote that are not here, with --mirror tags too, if the branches are as they were last seen.
            mirror: make the remote have the branches and tags that are here: --all --tags --force; refused where it has others, unless --prune is said.
            anew: with --mirror: send all again, so that nothing of what is there is needed any more, as after an erasure or where it is damaged.
            atomic: change all refs of the remote or none.
            delete: remove the branches or tags from the remote.

        """
        return self._op(
            "push",
            PushRow,
            {
                "remote": remote,
                "refs": refs,
                "set_upstream": set_upstream,
                "force": force,
                "no_lease": no_lease,
                "all": all,
                "tags": tags,
                "prune": prune,
                "mirror": mirror,
                "anew": anew,
                "atomic": atomic,
                "delete": delete,
            },
        )

    def ls_remote(
        self,
        remote: str | None = None,
        *,
        heads: bool = False,
        tags: bool = False,
    ) -> Result[LsRemoteRow]:
        """List the branches and tags of a remote.

        Args:
            remote: the name of a remote or a URL; otherwise the remote that the branch follows, or origin.
            heads: branches only.
            tags: tags only.

        """
        return self._op(
            "ls-remote",
            LsRemoteRow,
            {
                "remote": remote,
                "heads": heads,
                "tags": tags,
            },
        )

    def fsck(
        self,
        *,
        revive_journal_with_data_loss: bool = False,
        repair: bool = False,
        from_: str | None = None,
    ) -> Result[FsckRow]:
        """Verify the integrity of the database.

        Reads everything: the files of the store with the checksum and hash of every chunk, and from each branch, tag, working and
        staged set all that they reach, with the order, counts and shape of every tree and the agreement of indexes with rows. Each problem is
        a line that says what is wrong and where. The exit status is 1 when there is one.

        A journal with a damaged record in its middle belongs to a database that cannot be opened, since what was written behind the record was
        acknowledged. A backup is the way to have it all again. Without one --revive-journal-with-data-loss goes back to the state before that record.

        --repair verifies in the same way, and fetches every chunk that is damaged or missing from the remotes and backups of the database, or from the
        one that --from names. What is fetched is checked by its hash and durable before a damaged file leaves the store, and the files as they were
        are kept beside. What no remote has is listed, and the exit status is 1. Other processes must have closed the database.

        Args:
            revive_journal_with_data_loss: if the database cannot be opened, as records of its journal are damaged: go back to the state before the first of them, and keep the files as they were beside.
            repair: fetch what is damaged or missing from a remote, and put damaged files aside.
            from_: with --repair: from this remote or backup; otherwise from all that the database has.

        """
        return self._op(
            "fsck",
            FsckRow,
            {
                "revive_journal_with_data_loss": revive_journal_with_data_loss,
                "repair": repair,
                "from": from_,
            },
        )

    def gc(
        self,
        *,
        full: bool = False,
        shallow: bool = False,
        compress: Literal["auto", "all", "none"] | None = None,
        expire: str | None = None,
        remote: str | None = None,
        grace: str | None = None,
        dry_run: bool = False,
    ) -> Result[GcRow]:
        """Remove what nothing reaches any more.

        What branches, tags, branches of remotes, working and staged sets, merges and rebases in progress, stashes, the reflog and lineage
        reach stays, and so does what is being read or written. All else is removed from the files of the database. Others may read and write
        meanwhile. When it is interrupted nothing is lost and nothing is left over.

        The reflog keeps what a branch or tag named in the last 90 days; --expire shortens that, for this time.

        What only older commits reach is compressed with dictionaries that are made of it, where that saves a tenth or more; what branches, working and
        staged sets hold now stays as fast to read as it is. '--compress' does so for all files, '--compress=none' stores what it rewrites without. Pages of
        one table are much alike, so history takes about half.

        A process that keeps the database open collects garbage by itself when as much has been written as was left the last time: see gc.auto and
        gc.growth in 'config'.

        With --remote it is packs and lists of a remote, file:// or a bucket, that go when none of its refs needs them. A push that is under way has put
        packs that nothing needs yet: so the first time they are only noted, and removed when 'gc --remote' finds them unused still after the grace
        period. Everybody may push and fetch meanwhile. '--grace 0s' is for when nobody pushes; a bucket on which 'sql-server --store' works is written to
        all the time, so it is none for that. A server collects the garbage of its databases itself.

        Args:
            full: rewrite every file that has any garbage, not only those that are a tenth garbage.
            shallow: rewrite no packs, only remove those that are garbage as a whole.
            compress: which history is compressed with dictionaries: of files that are rewritten anyway, of all, or none; --full takes all for auto.
            expire: forget what refs named before, when that is so long ago: 14d, 36h, now.
            remote: collect the garbage of this remote, a name or a URL, in place of the database's own.
            grace: with --remote: how long what no ref needs stays for the sake of pushes that are under way; otherwise 24h.
            dry_run: with --remote: only say what would be removed.

        """
        return self._op(
            "gc",
            GcRow,
            {
                "full": full,
                "shallow": shallow,
                "compress": compress,
                "expire": expire,
                "remote": remote,
                "grace": grace,
                "dry_run": dry_run,
            },
        )

    def du(
        self,
    ) -> Result[DuRow]:
        """Say what takes how much space.

        Counts the bytes of packs and journal that tables of the working set, branches, older commits and what else is kept take, and those of
        garbage. Tables and branches share what is equal in them: such bytes count for each, and the last column says how many per cent of its bytes
        a table shares with other tables, a branch with other branches. Of kind "current" is what working sets reach, of kind "history" what branches
        and tags reach beside that (see 'gc --compress'), of kind "kept" what only stashes, branches of remotes, the reflog and lineage keep. Sizes are those in the files; where they are less
        than a tenth below what they would be without compression, that is left out of the text.

        """
        return self._op(
            "du",
            DuRow,
            {},
        )

    def retention(
        self,
        *args: str,
    ) -> Result[Row]:
        """Thin the history of branches by rules.

        Rules say which commits of a branch stay. They are clauses with commas between, each a kind and an age, and a commit that any clause keeps
        stays:

          all 7d        every commit of the last seven days
          hourly 2d     the last commit of each hour on the branch's own line (first parents); also daily, weekly, monthly and yearly
          tags 1y       commits that a tag names; without this clause they stay forever

        Ages are whole hours, days, weeks or years (12h, 7d, 6w, 1y; a year has 365 days), or forever. They count from the time of the committer, and
        days and the like are those of UTC.

        A pattern is the name of a branch, or has * and ? as file names do. The rules of a branch are those of its name, else those of the longest
        pattern that fits. A branch without rules keeps what it alone has.

        What always stays: the first commit, the heads of branches, and commits at which the histories of branches part, so that they merge as before.
        A commit that has left the history of branches, but is named by a tag, goes on being there under the tag.

        dry-run says what would go, and why what stays does. apply takes the others out: a commit that stays has the same tables, author, times,
        message and metadata as before, and the nearest ones before it that stay as parents. Where an ancestor went it has another hash. Branches and
        tags move with them in one step; uncommitted changes stay. Merges and rebases in progress are to be ended first, and so are stashes on such
        commits. What lineage says of commits that went is still known, and said to be of thinned ones; what is to stay for good, such as the data of
        a model or of a lock file, gets a tag.

        Nothing is freed by this alone: 'gc --expire now' removes what the reflog still has. Of a database that is worked on in a bucket only
        'push --mirror --anew' from a copy, and then 'gc --remote', free it. Other copies, remotes and backups too, keep what they have: push --force
        to the remotes, and let others clone anew.

        Args:
            args: set <pattern> <rules>, unset <pattern>, show (the default), dry-run or apply.

        """
        return self._op(
            "retention",
            Row,
            {
                "args": args,
            },
        )

    def erase(
        self,
        *tables: str,
        where: str | None = None,
        query: str | None = None,
        dry_run: bool = False,
        continue_: bool = False,
    ) -> Result[EraseRow]:
        """Remove rows from all of the history, for good.

        For what the law wants gone. The rows go from the tables of every commit of every branch and tag, and of uncommitted changes. The commits
        are made anew, with their authors, times, messages and metadata, and so get other hashes; branches and tags move along in one step. Then what
        was goes from the files: what the reflog names, what branches of remotes named, and what only lineage did. The answer lists which commits had
        how many such rows, and is the report to file: 'erase … -r csv'.

        With -q the statements run at each commit: DELETE and UPDATE, several with semicolons between. Foreign keys are checked, so that rows which
        refer to others go first, or by ON DELETE CASCADE.

        Merges and rebases in progress are to be ended first, and stashes to be dropped. Nothing changes unless all goes well; --dry-run shows what
        would go. Messages and metadata of commits stay as they are, and so do the names of tables, and the text of queries that runs have recorded.

        Other copies keep the rows: remotes, backups, clones and files that were exported. It says which of them the database knows of. Erase in one
        place that has all branches, 'push --mirror --anew' to the remotes, 'gc --remote' them, and clone anew elsewhere. What a remote has and the
        database has not is not removed there: it is told beforehand, and the push names it and changes nothing.

        Args:
            tables: tables of which rows go; where there is none of the name nothing does.
            where: which rows of the tables go.
            query: statements to run at each commit instead, such as UPDATE for cells that are to be emptied.
            dry_run: only say what would go.
            continue_: go on where the statements fail, such as where a table lacks a column, and say where.

        """
        return self._op(
            "erase",
            EraseRow,
            {
                "tables": tables,
                "where": where,
                "query": query,
                "dry_run": dry_run,
                "continue": continue_,
            },
        )

    def undrop(
        self,
        *args: str,
    ) -> Result[Row]:
        """Restore a database that was dropped.

        DROP DATABASE sets a database aside. This brings it back, under the name that it had.

        Args:
            args: the database.

        """
        return self._op(
            "undrop",
            Row,
            {
                "args": args,
            },
        )

    def purge_dropped_databases(
        self,
    ) -> Result[Row]:
        """Remove databases for good that were dropped.

        """
        return self._op(
            "purge-dropped-databases",
            Row,
            {},
        )

    def backup(
        self,
        path: str | None = None,
        *args: str,
        verbose: bool = False,
        at: str | None = None,
        force: bool = False,
        anew: bool = False,
    ) -> Result[BackupRow]:
        """Copy the database to another place.

        With a path alone the copy is a database like any other, and holds everything that was durable when the backup began: history, working
        sets and all. Others may write meanwhile. A copy that was interrupted is not a database and may be deleted.

        A backup with a name is at the URL of a remote, and holds all branches, each with its working set as they were at one moment, tags and runs. It
        changes as a whole, or not at all. To sync it again sends what is new only. What is no longer here is not there either afterwards; a place
        at which that would lose commits of others is refused, unless --force says so. Stashes and merges in progress are not in it.

        What a sync left is remembered until 'backup forget' says otherwise, also what a later one has removed or moved back: 'backup log' lists the syncs, 'backup
        restore --at' goes back to them. A server's database (http://, https://) remembers none. What is erased here stays in syncs of before: 'push --mirror --anew'
        to the place makes it forget them all; uncommitted changes that a backup has put there are committed or reset, and synced, before.

        'backup verify' reads all of a backup. With a URL it needs no database; what it reads is kept, while it runs, in the directory for temporary files
        (TMPDIR), and with a name in the database's.

        Args:
            path: a directory that is made, or is empty; or add, remove, sync, sync-url, restore, verify.
            args: the name of a backup, a URL, a directory.
            verbose: list URLs too.
            at: with restore: as it was at that time, or at that commit or tag.
            force: with sync and sync-url: also where that removes or overwrites what others have pushed.
            anew: with sync and sync-url: send all again, also what is there, as where that is damaged.

        """
        return self._op(
            "backup",
            BackupRow,
            {
                "path": path,
                "args": args,
                "verbose": verbose,
                "at": at,
                "force": force,
                "anew": anew,
            },
        )

    def backup_restore(
        self,
        url: str,
        dir: str,
        *,
        at: str | None = None,
    ) -> Result[Row]:
        """Make a database of a backup.

        The database has the branches, tags, working sets and runs of the backup. With --at a commit or tag only that is there, whichever sync had it.

        With --at a time it has what the last sync until then had ('backup log' lists them): its branches, tags and uncommitted changes. Where the next sync
        shows that a branch or tag came or went forward in between, by commits that were made until that time, it has these, without the uncommitted changes of
        such a branch, which are named: a sync does not tell when they were made. A branch that was moved back, rewritten or removed after the sync is there as the
        sync had it. Where no sync of that time or before is remembered, as by backups of older versions, each branch is at its last commit until then, and
        what was removed or moved back since is not there, which is said; tags are all that the next sync has. Runs are always all that the backup has.

        Args:
            url: where the backup is.
            dir: the directory to be made, or an empty one.
            at: as it was at that time, or at that commit or tag.

        """
        return self._op(
            "backup restore",
            Row,
            {
                "url": url,
                "dir": dir,
                "at": at,
            },
        )

    def backup_log(
        self,
        of: str,
    ) -> Result[BackupLogRow]:
        """List the syncs that a backup remembers.

        Each 'backup sync' that finds something new leaves a snapshot at the backup: what its branches, tags and working sets were. They are listed with the
        newest first, by their time in UTC, which 'backup restore --at' takes.

        Args:
            of: the name of a backup, or a URL.

        """
        return self._op(
            "backup log",
            BackupLogRow,
            {
                "of": of,
            },
        )

    def backup_forget(
        self,
        of: str,
        *,
        keep: str | None = None,
        before: str | None = None,
        damaged: bool = False,
        dry_run: bool = False,
    ) -> Result[BackupForgetRow]:
        """Make a backup forget old syncs.

        The snapshots of the syncs are removed; the newest always stays, and that of what the branches and tags are now. Those that cannot be read go. What the
        branches and tags have now is not touched. 'gc --remote' then removes what only those had that are forgotten: commits that were reset away, say, or
        branches that were removed.

        Args:
            of: the name of a backup, or a URL.
            keep: forget what these rules do not keep, as those of retention: "all 7d, daily 90d".
            before: forget what is older.
            damaged: forget the syncs of which something is damaged or lost; it reads what all need.
            dry_run: only say what would be forgotten.

        """
        return self._op(
            "backup forget",
            BackupForgetRow,
            {
                "of": of,
                "keep": keep,
                "before": before,
                "damaged": damaged,
                "dry_run": dry_run,
            },
        )

    def table_import(
        self,
        table: str | None = None,
        file: str | None = None,
        *,
        create_table: bool = False,
        update_table: bool = False,
        append_table: bool = False,
        replace_table: bool = False,
        force: bool = False,
        pk: Sequence[str] | str = (),
        schema: str | None = None,
        all_text: bool = False,
        no_header: bool = False,
        columns: Sequence[str] | str = (),
        delim: str | None = None,
        file_type: Literal["csv", "psv", "tsv", "jsonl", "json", "parquet", "arrow", "arrows", "xlsx"] | None = None,
        sheet: str | None = None,
        null: Sequence[str] | str = (),
        map: str | None = None,
        continue_: bool = False,
        rejects: str | None = None,
        quiet: bool = False,
        disable_fk_checks: bool = False,
    ) -> Result[TableImportRow]:
        """Load a file into a table.

        All of the file is loaded, or nothing when a line cannot be: the error names it. An empty field is NULL, "" an empty string.

        Files are CSV (also .psv and .tsv), JSON (.json with an array of objects or {"rows": [...]}, .jsonl with an object a line), Parquet, Arrow
        (.arrow, .feather, .arrows) or workbooks (.xlsx). Those of text may be compressed: .csv.gz, .jsonl.zst. Lists, structs and maps become JSON.
        Types and the primary key of files that stemma has written as Parquet or Arrow come back as they were.

        CHECK constraints hold for every row, and generated columns are made from the others, whatever the file has there.

        With one argument that is a file's name, the table is called like the file.

        In SQL it is CALL stemma_load('-c', '--pk', 'id', 'clients', 'clients.csv'): for users with the right to execute it, of files in the server's
        directory @@secure_file_priv.

        Args:
            table: the table, or the file, whose name is the table's then.
            file: the file; standard input when it is - or missing.
            create_table: make the table; the columns' types are inferred from the whole file.
            update_table: add rows to a table, and replace those whose key is in the file.
            append_table: add rows to a table; a key that is there already is an error.
            replace_table: replace all rows of a table, and keep its schema.
            force: with -c: replace a table that exists, its schema too.
            pk: with -c: the columns of the primary key; with -u and -r it stays as it is.
            schema: with -c: make the table by the CREATE TABLE statement in this file.
            all_text: with -c: make every column text.
            no_header: the first line is data.
            columns: names of the fields of a file without header; else the fields to load.
            delim: the character between fields; \\t is a tab.
            file_type: what the file is; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow.
            sheet: of a workbook: the sheet; the first one otherwise.
            null: fields that are NULL, as empty ones are, unless they are in quotes: NA,NULL.
            map: JSON object of file column to table column.
            continue_: write lines that cannot be loaded to a file of their own and go on; without -u the first row of a key stays, and other rows of it are such lines.
            rejects: where those lines go (default <file>.rejects.csv).
            quiet: say nothing of what was inferred.
            disable_fk_checks: do not check foreign keys.

        """
        return self._op(
            "table import",
            TableImportRow,
            {
                "table": table,
                "file": file,
                "create_table": create_table,
                "update_table": update_table,
                "append_table": append_table,
                "replace_table": replace_table,
                "force": force,
                "pk": pk,
                "schema": schema,
                "all_text": all_text,
                "no_header": no_header,
                "columns": columns,
                "delim": delim,
                "file_type": file_type,
                "sheet": sheet,
                "null": null,
                "map": map,
                "continue": continue_,
                "rejects": rejects,
                "quiet": quiet,
                "disable_fk_checks": disable_fk_checks,
            },
        )

    def table_export(
        self,
        table: str,
        file: str | None = None,
        *,
        force: bool = False,
        file_type: Literal["csv", "psv", "tsv", "jsonl", "json", "parquet", "arrow", "arrows"] | None = None,
        delim: str | None = None,
        no_header: bool = False,
        map: str | None = None,
    ) -> Result[TableExportRow]:
        """Write a table to a file.

        Rows come in the order of the primary key. In CSV NULL is an empty field, an empty string is "". In JSON members that are NULL are
        left out, and bytes are in base64. Parquet and Arrow keep all types, and the primary key. Files of text may be compressed: prices.csv.gz,
        prices.jsonl.zst.

        In SQL it is CALL stemma_export('prices@v1', 'prices.parquet'): for users with the right to execute it, to files in the server's directory
        @@secure_file_priv.

        Args:
            table: the table, of the working set unless a revision is given.
            file: the file; standard output when it is - or missing.
            force: overwrite the file if it exists.
            file_type: what the file is to be; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow.
            delim: the character between fields; \\t is a tab.
            no_header: leave out the line of column names.
            map: JSON object of column to the name that it has in the file.

        """
        return self._op(
            "table export",
            TableExportRow,
            {
                "table": table,
                "file": file,
                "force": force,
                "file_type": file_type,
                "delim": delim,
                "no_header": no_header,
                "map": map,
            },
        )

    def table_cp(
        self,
        *args: str,
        force: bool = False,
    ) -> Result[Row]:
        """Copy a table of the working set, or of a commit.

        The copy shares all its data with the table, so it takes no time and no space. It has no foreign keys.

        Args:
            args: the table, and the copy's name; before them a revision whose table it is.
            force: replace a table that has the new name.

        """
        return self._op(
            "table cp",
            Row,
            {
                "args": args,
                "force": force,
            },
        )

    def table_mv(
        self,
        from_: str,
        to: str,
        *,
        force: bool = False,
    ) -> Result[Row]:
        """Rename a table of the working set.

        Args:
            from_: the table.
            to: its new name.
            force: replace a table that has the new name.

        """
        return self._op(
            "table mv",
            Row,
            {
                "from": from_,
                "to": to,
                "force": force,
            },
        )

    def table_rm(
        self,
        *tables: str,
    ) -> Result[Row]:
        """Drop tables from the working set.

        Args:
            tables: tables to drop.

        """
        return self._op(
            "table rm",
            Row,
            {
                "tables": tables,
            },
        )

    def schema_show(
        self,
        *args: str,
    ) -> Result[SchemaShowRow]:
        """Show the schemas of tables.

        Args:
            args: a commit, whose tables are meant; and tables, all of them otherwise.

        """
        return self._op(
            "schema show",
            SchemaShowRow,
            {
                "args": args,
            },
        )

    def schema_import(
        self,
        table: str | None = None,
        file: str | None = None,
        *,
        create: bool = False,
        update: bool = False,
        replace: bool = False,
        dry_run: bool = False,
        pks: Sequence[str] | str = (),
        keep_types: bool = False,
        map: str | None = None,
        delim: str | None = None,
        file_type: Literal["csv", "psv", "tsv", "jsonl", "json", "parquet", "arrow", "arrows", "xlsx"] | None = None,
    ) -> Result[Row]:
        """Make a table with the columns of a file.

        The types are inferred from the whole file, which is not loaded. A table that is updated or replaced must have no rows.

        Args:
            table: the table.
            file: the file.
            create: make the table.
            update: add the columns that an empty table lacks, and give the others the types of the file.
            replace: make an empty table anew.
            dry_run: only print the statement that makes the table.
            pks: the columns of the primary key, in its order.
            keep_types: columns that the table has keep their types.
            map: JSON object of file column to table column; columns that it does not name keep their names.
            delim: the character between fields; \\t is a tab.
            file_type: what the file is; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow.

        """
        return self._op(
            "schema import",
            Row,
            {
                "table": table,
                "file": file,
                "create": create,
                "update": update,
                "replace": replace,
                "dry_run": dry_run,
                "pks": pks,
                "keep_types": keep_types,
                "map": map,
                "delim": delim,
                "file_type": file_type,
            },
        )

    def schema_export(
        self,
        table: str | None = None,
        file: str | None = None,
        *,
        force: bool = False,
    ) -> Result[Row]:
        """Write the schemas of tables as SQL.

        Args:
            table: the table; all tables otherwise.
            file: the file; standard output when it is - or missing.
            force: overwrite the file if it exists.

        """
        return self._op(
            "schema export",
            Row,
            {
                "table": table,
                "file": file,
                "force": force,
            },
        )

    def dump(
        self,
        revision: str | None = None,
        *,
        result_format: Literal["sql", "csv", "json"] | None = None,
        force: bool = False,
        file_name: str | None = None,
        directory: str | None = None,
        schema_only: bool = False,
        no_batch: bool = False,
        no_autocommit: bool = False,
        no_create_db: bool = False,
    ) -> Result[Row]:
        """Write all tables to files.

        The SQL makes the tables anew in any MySQL database, with all rows. Files are written whole or not at all.

        Args:
            revision: a commit; the working set otherwise.
            result_format: statements in one file, or a file for each table.
            force: overwrite files that exist.
            file_name: the file of -r sql; - is standard output.
            directory: where -r csv and -r json put their files.
            schema_only: leave out the rows.
            no_batch: a statement for each row.
            no_autocommit: one transaction for each table.
            no_create_db: leave out CREATE DATABASE and USE.

        """
        return self._op(
            "dump",
            Row,
            {
                "revision": revision,
                "result_format": result_format,
                "force": force,
                "file_name": file_name,
                "directory": directory,
                "schema_only": schema_only,
                "no_batch": no_batch,
                "no_autocommit": no_autocommit,
                "no_create_db": no_create_db,
            },
        )

    def ingest(
        self,
        source: str,
        path: str | None = None,
        *,
        table: Sequence[str] | str = (),
        query: str | None = None,
        as_: str | None = None,
        key: Sequence[str] | str = (),
        message: str | None = None,
        retries: int | None = None,
        restart: bool = False,
    ) -> Result[Row]:
        """Bring in tables of PostgreSQL and MySQL, and the history of git and Dolt repositories.

        Of a server one state is read, in a transaction that only reads. The first pull makes the tables; every further one compares the rows by key and
        writes those that changed. A pull is one commit, with source and time in its metadata, or none when nothing changed. Until it is
        complete nothing is written. One that did not come to its end, because the connection was lost or the program was ended, is continued by the
        next one: the server is asked which of the rows that are here already are the same still, and sends the others. The commit is of one state
        of the server all the same. What nobody goes on with for 14 days is removed.

        All rows are sent again, and the error says so, of tables and queries without a key that is never NULL (the source's, or a --key): nothing tells
        which of their rows are here already. PostgreSQL does not tell of a query's columns whether they may be NULL. What broke off then leaves nothing.

        Generated columns, CHECK constraints, foreign keys, indexes and defaults that were made here stay when the source's columns change. Other columns that
        were added here have no place in what comes: a pull of such a table is refused, lest it lose what is in them.

        Of a git repository the files with rows (CSV, TSV, JSON lines, Parquet, …; also those in Git LFS) become tables, and its commits become
        commits, with their authors, times, messages and parents. Of a Dolt server all branches and their commits come. Commits that are here already
        are not read again, nor are those of a run that did not come to its end.

        Args:
            source: postgres://…, mysql://…, dolt://…, or git.
            path: with git: the repository.
            table: only these tables; all otherwise.
            query: of a server: the rows of this query, instead of tables.
            as_: with --query: the table that the rows go to.
            key: the primary key: of the rows of --query, of tables that have none, of files of a git repository that have these columns.
            message: the commit's message.
            retries: how often a pull whose connection is lost is tried again.
            restart: read all rows, also those that a pull that did not come to its end has left here.

        """
        return self._op(
            "ingest",
            Row,
            {
                "source": source,
                "path": path,
                "table": table,
                "query": query,
                "as": as_,
                "key": key,
                "message": message,
                "retries": retries,
                "restart": restart,
            },
        )

    def data_lock(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
        upgrade: Sequence[str] | str = (),
        upgrade_all: bool = False,
        check: bool = False,
    ) -> Result[DataLockRow]:
        """Pin the tables of a training configuration.

        The configuration lists tables at revisions, by split:

            train:
            - client_data@main
            - labels:batch@v2026.10
            - {table: some_table, ref: main, columns: [id, y], where: "country = 'DE'"}

        The lock file says of each the commit, the hashes of table, schema and content, and the number of rows. What is in it stays as it is until
        --upgrade names its table. A commit that has moved while the table's hash is the same is not stale.

        Keys that two splits have in common, such as rows that are trained on and tested with, are warned of and noted in the lock file. Tables
        whose primary keys have the same columns are compared, whatever their names.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).
            upgrade: pin this table anew; may be repeated.
            upgrade_all: pin every table anew.
            check: write nothing; exit with 1 when the lock is missing, or is not what the configuration and its revisions mean now.

        """
        return self._op(
            "data lock",
            DataLockRow,
            {
                "config": config,
                "lock": lock,
                "upgrade": upgrade,
                "upgrade_all": upgrade_all,
                "check": check,
            },
        )

    def data_items(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
        split: str | None = None,
        frozen: bool = False,
        shared_keys: bool = False,
    ) -> Result[DataItemsRow]:
        """List the tables of a training configuration and the commits that they mean.

        Programs that read the rows themselves ask it: directory is where the database of the item is, empty for the one that is worked on. rows is
        empty for an item with a condition that is not locked; columns and rows come in the order of the table. With --frozen the items are those of the lock file; it exits with 5 when a table at its commit is not the one
        that was locked.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).
            split: of this split only.
            frozen: as the lock file has them, not as revisions mean them now.
            shared_keys: look for keys that are in two splits, where the lock file does not tell.

        """
        return self._op(
            "data items",
            DataItemsRow,
            {
                "config": config,
                "lock": lock,
                "split": split,
                "frozen": frozen,
                "shared_keys": shared_keys,
            },
        )

    def data_verify(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
    ) -> Result[DataVerifyRow]:
        """Check that the locked rows are there, bit for bit.

        All rows are read. It exits with 3 when a commit or table is missing, and with 5 when a hash or a number of rows is another.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).

        """
        return self._op(
            "data verify",
            DataVerifyRow,
            {
                "config": config,
                "lock": lock,
            },
        )

    def data_status(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
    ) -> Result[DataStatusRow]:
        """Show what has changed since the tables were locked.

        Tables at a branch are compared with its newest commit, those at a commit, a tag or a time with that of the checked-out branch.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).

        """
        return self._op(
            "data status",
            DataStatusRow,
            {
                "config": config,
                "lock": lock,
            },
        )

    def data_retrain(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
        json: bool = False,
        against: str | None = None,
    ) -> Result[DataRetrainRow]:
        """Tell whether a model is to be trained anew, and why.

        The locked rows are compared with the newest: of a table at a branch those of the branch, of one at a commit, a tag or a time those of the
        checked-out branch. It exits with 0 when the model is fresh, and with 10 when it is to be
        trained anew. Without a policy any change is enough. The configuration may set limits by table:

            retrain:
              client_data: {rows: 500, percent: 1, schema: any, drift: {null_rate: 0.05, mean: 0.2, quantile: 0.5, top: 0.1}}
              default: any

        rows and percent count added, removed and modified rows. Of the drift of a column, null_rate and top are parts of the rows from 0 to 1, mean
        and quantile are in standard deviations of the locked rows.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).
            json: answer with one JSON object, the drift of every column in it.
            against: what tables at a commit, a tag or a time are compared with (default: the checked-out branch).

        """
        return self._op(
            "data retrain",
            DataRetrainRow,
            {
                "config": config,
                "lock": lock,
                "json": json,
                "against": against,
            },
        )

    def data_export(
        self,
        *,
        config: str | None = None,
        lock: str | None = None,
        split: str,
        output: Literal["parquet", "arrow", "csv", "jsonl"] | None = None,
        directory: str | None = None,
        force: bool = False,
    ) -> Result[DataExportRow]:
        """Write the locked rows of a split to files.

        A file for each item, named after its table. The rows are those of the lock, whatever the revisions mean now, in the same order and bytes.

        Args:
            config: the configuration.
            lock: the lock file (default: the configuration's name with .lock).
            split: which split.
            output: what the files are to be.
            directory: where they go (default: a directory with the split's name).
            force: overwrite files that exist.

        """
        return self._op(
            "data export",
            DataExportRow,
            {
                "config": config,
                "lock": lock,
                "split": split,
                "output": output,
                "directory": directory,
                "force": force,
            },
        )

    def data_diff(
        self,
        from_: str,
        to: str,
        *,
        config: str | None = None,
    ) -> Result[DataDiffRow]:
        """Show how the rows of two lock files differ.

        It exits with 1 when they do.

        Args:
            from_: a lock file.
            to: another.
            config: the configuration, for where it says that other databases are; it may be missing.

        """
        return self._op(
            "data diff",
            DataDiffRow,
            {
                "from": from_,
                "to": to,
                "config": config,
            },
        )

    def run_start(
        self,
        run: str | None = None,
        *,
        system: str | None = None,
        external_id: str | None = None,
        parent: str | None = None,
        job: str | None = None,
        params: str | None = None,
        git_sha: str | None = None,
        git_dirty: bool = False,
        branch: str | None = None,
        base: str | None = None,
        user: str | None = None,
        host: str | None = None,
        message: str | None = None,
    ) -> Result[RunStartRow]:
        """Record that a run begins, and name it.

        What sessions read and commit once they name the run, by SET @@stemma_run = '<uuid>' or the header stemma-run, is recorded as the
        run's. A run that is started again with the same system and external id goes on (a retry); another run of the same id is an error.

        Args:
            run: the run's id, a UUID; one is made when it is left out.
            system: what runs it: kedro, metaflow, cli, spark, ….
            external_id: what that system calls the run.
            parent: the run that started this one.
            job: what is run: a pipeline, a flow, a script.
            params: the run's parameters.
            git_sha: commit of the code.
            git_dirty: the code has changes that are not committed.
            branch: the branch that the run works on.
            base: the commit that it reads.
            user: who runs it; the author unless told otherwise.
            host: where.
            message: why.

        """
        return self._op(
            "run start",
            RunStartRow,
            {
                "run": run,
                "system": system,
                "external_id": external_id,
                "parent": parent,
                "job": job,
                "params": params,
                "git_sha": git_sha,
                "git_dirty": git_dirty,
                "branch": branch,
                "base": base,
                "user": user,
                "host": host,
                "message": message,
            },
        )

    def run_end(
        self,
        run: str,
        *,
        state: Literal["COMPLETE", "FAIL", "ABORT"] | None = None,
        error: str | None = None,
        result_commit: str | None = None,
    ) -> Result[RunEndRow]:
        """Record that a run has ended, and how.

        Args:
            run: the run.
            state: how it ended.
            error: why it failed.
            result_commit: the commit that it left.

        """
        return self._op(
            "run end",
            RunEndRow,
            {
                "run": run,
                "state": state,
                "error": error,
                "result_commit": result_commit,
            },
        )

    def run_list(
        self,
        *,
        system: str | None = None,
        state: Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT"] | None = None,
        job: str | None = None,
        parent: str | None = None,
        dead: bool = False,
        older: timedelta | str | None = None,
        limit: int | None = None,
    ) -> Result[RunListRow]:
        """List runs, the last started first.

        A run that died before it could say so stays RUNNING: --dead lists those.

        Args:
            system: only runs of this system.
            state: only runs in this state.
            job: only runs of this job.
            parent: only runs that this run started.
            dead: only runs that have not ended though they began long ago: see --older.
            older: with --dead: how long ago.
            limit: at most so many; 0 for all.

        """
        return self._op(
            "run list",
            RunListRow,
            {
                "system": system,
                "state": state,
                "job": job,
                "parent": parent,
                "dead": dead,
                "older": older,
                "limit": limit,
            },
        )

    def run_show(
        self,
        run: str,
    ) -> Result[RunShowRow]:
        """Show a run, what it read and what it wrote.

        Args:
            run: the run: its id, the beginning of it, or what its system calls it.

        """
        return self._op(
            "run show",
            RunShowRow,
            {
                "run": run,
            },
        )

    def run_record(
        self,
        run: str,
        *,
        inputs: str | None = None,
        outputs: str | None = None,
    ) -> Result[RunRecordRow]:
        """Record what a run has read or written elsewhere.

        The server records by itself what sessions read and commit in it. This is for what it does not see. An input with a table and a ref or
        commit of this database gets its hash from there. mapping is an object {"column written": "column read"} by which rows that the run wrote lead to
        rows that it read.

        Args:
            run: the run.
            inputs: array of objects: table, db, ref, commit, hash, query, columns, predicate, rows, node, attempt, alias, mapping.
            outputs: array of objects: table, db, before, after, commit, rows_added, rows_deleted, rows_modified, node, attempt, alias, column_lineage.

        """
        return self._op(
            "run record",
            RunRecordRow,
            {
                "run": run,
                "inputs": inputs,
                "outputs": outputs,
            },
        )

    def run_of(
        self,
        table: str,
        ref: str | None = None,
    ) -> Result[RunOfRow]:
        """Find the run that last changed a table.

        The history is walked from the revision to the commit that last changed the table, under whatever name. A merge that made of several
        changes what none of its parents had gives the runs of all of them. how says how a run was found: history means that it recorded the change in that
        commit; hash that no run did and this one left the table with the same content elsewhere; unknown that no run is known.

        Args:
            table: the table, or table@revision.
            ref: where the table is looked at.

        """
        return self._op(
            "run of",
            RunOfRow,
            {
                "table": table,
                "ref": ref,
            },
        )

    def lineage(
        self,
        table: str,
        *,
        up: bool = False,
        down: bool = False,
        depth: int | None = None,
        format: Literal["tree", "json", "dot", "openlineage"] | None = None,
    ) -> Result[LineageRow]:
        """Show which runs a table comes from, and what came of it.

        Args:
            table: the table; without a revision at HEAD.
            up: what it was made from; this is meant when neither is given.
            down: what was made from it.
            depth: so many runs far; 0 for all.
            format: how it is written.

        """
        return self._op(
            "lineage",
            LineageRow,
            {
                "table": table,
                "up": up,
                "down": down,
                "depth": depth,
                "format": format,
            },
        )

    def lineage_impact(
        self,
        target: str,
        *,
        commit: bool = False,
    ) -> Result[LineageImpactRow]:
        """List every table, commit and run that came of a table or a commit.

        Args:
            target: a table, or a revision for all that was read at it.
            commit: the argument is a revision.

        """
        return self._op(
            "lineage impact",
            LineageImpactRow,
            {
                "target": target,
                "commit": commit,
            },
        )

    def lineage_why(
        self,
        table: str,
        *,
        key: Sequence[str] | str = (),
        limit: int | None = None,
    ) -> Result[LineageWhyRow]:
        """Find the rows that a row was made from.

        The commits that gave the row its content lead to their runs, and these to the tables that they read, as they were then. how says how rows of an
        input were found: mapping means by columns that the run declared (run record); columns, that the statement which wrote the row copied; key, that the row
        has the columns of the input's primary key; shared, that they agree on columns of the row's primary key, of which the run need not have
        used all; unknown, that nothing tells, and note says why.

        Args:
            table: the table; without a revision at HEAD.
            key: the row: its primary key, a column each, or one JSON object of them.
            limit: at most so many rows of each input; 0 for all.

        """
        return self._op(
            "lineage why",
            LineageWhyRow,
            {
                "table": table,
                "key": key,
                "limit": limit,
            },
        )

    def lineage_export(
        self,
        *,
        openlineage: str,
        namespace: str | None = None,
        run: str | None = None,
    ) -> Result[LineageExportRow]:
        """Write runs as events of OpenLineage.

        The file gets one JSON object a line: of each run its start, and its end when it has ended. One that exists is replaced.

        Args:
            openlineage: a file for events of OpenLineage, one a line; - is standard output.
            namespace: of datasets and jobs: stemma://host:port.
            run: only this run.

        """
        return self._op(
            "lineage export",
            LineageExportRow,
            {
                "openlineage": openlineage,
                "namespace": namespace,
                "run": run,
            },
        )

    def lineage_import(
        self,
        *,
        openlineage: str,
        namespace: str | None = None,
    ) -> Result[LineageImportRow]:
        """Read runs from events of OpenLineage.

        Events of one run are joined, with what is known of it already; events that come again change nothing. Datasets of other namespaces keep
        their names, and are followed by their versions. All of the file is taken, or nothing: an event that cannot be read is an error that names the line.

        Args:
            openlineage: a file of events of OpenLineage, one a line.
            namespace: the namespace of datasets that are tables of databases here, named database.table.

        """
        return self._op(
            "lineage import",
            LineageImportRow,
            {
                "openlineage": openlineage,
                "namespace": namespace,
            },
        )

    def config(
        self,
        *args: str,
        global_: bool = False,
        local: bool = False,
        set: bool = False,
        get: bool = False,
        unset: bool = False,
        list: bool = False,
    ) -> Result[Row]:
        """Get and set options of a database or of all.

        Settings are kept in two files, the user's and the database's. Reading looks into the database's first. Writing goes to the
        database's unless --global is given.

        A name alone is shown, a name with a value is set, as with --get and --set.

        Names that stemma knows:

          user.name           author of commits
          user.email          mail address of that author
          init.defaultbranch  first branch of a new database (main)
          gc.auto             off: garbage is never collected by itself (on)
          gc.growth           by how many per cent a database that is kept open, by a server or a Python program, has grown when garbage is
                              collected by itself (100)
          push.autosetupremote
                              on: a push of a branch that follows none goes to the remote's branch of its name, and the branch follows that (off)
          core.editor         command of the editor for messages of commits and plans of rebases; STEMMA_EDITOR goes before it, and on a terminal
                              VISUAL and EDITOR come behind

        When user.name or user.email is not set, STEMMA_AUTHOR_NAME and STEMMA_AUTHOR_EMAIL are taken, and then the operating system's user.

        Args:
            args: names, and values for --set.
            global_: use the user's settings only.
            local: use the database's settings only.
            set: set each name to the value behind it.
            get: show the value of a name; exit with 1 when it has none.
            unset: forget the names.
            list: show all names and values.

        """
        return self._op(
            "config",
            Row,
            {
                "args": args,
                "global": global_,
                "local": local,
                "set": set,
                "get": get,
                "unset": unset,
                "list": list,
            },
        )

    def version(
        self,
        *,
        verbose: bool = False,
        feature: bool = False,
    ) -> Result[VersionRow]:
        """Show the version of this program.

        Args:
            verbose: tell the storage format, the Go release and the platform as well.
            feature: tell the version of the storage format as well.

        """
        return self._op(
            "version",
            VersionRow,
            {
                "verbose": verbose,
                "feature": feature,
            },
        )
