"""Lineage in Python, and what goes to and comes from other systems: against OpenLineage's own classes and schemas."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import attr
import jsonschema
import pytest
from openlineage.client import facet_v2
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.generated import column_lineage_dataset as columns
from openlineage.client.serde import Serde
from referencing import Registry, Resource

import stemma

SCHEMAS = [json.loads(f.read_text()) for f in (Path(__file__).parent / "openlineage").glob("*.json")]
REGISTRY: Registry[Any] = Registry().with_resources([(s["$id"], Resource.from_contents(s)) for s in SCHEMAS])

FACETS: dict[str, type] = {
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "columnLineage": columns.ColumnLineageDatasetFacet,
    "lifecycleStateChange": facet_v2.lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": facet_v2.parent_run.ParentRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    "sourceCodeLocation": facet_v2.source_code_location_job.SourceCodeLocationJobFacet,
    "sql": facet_v2.sql_job.SQLJobFacet,
}


def facets(event: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All facets of an event, by name."""
    places = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    return [f for p in places for key in ("facets", "inputFacets", "outputFacets") for f in p.get(key, {}).items()]


def valid(event: dict[str, Any]) -> None:
    """Checks an event and its facets against the schemas that they name."""
    for schema, value in [(event["schemaURL"], event)] + [(f["_schemaURL"], f) for n, f in facets(event) if n != "stemma_commit"]:
        jsonschema.Draft202012Validator({"$ref": schema}, registry=REGISTRY).validate(value)


@pytest.fixture
def lines(shared: stemma.Repo, tmp_path: Path) -> tuple[stemma.Repo, list[dict[str, Any]], str, str]:
    """Two runs, the second of which failed, and their events."""
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    a, b = f"a{first[:6]}", f"b{first[:6]}"
    shared.run_start(first, system="test", job="load", git_sha="0123abc")
    on = shared.at(run=first)
    on.sql(f"create table {a} (id int primary key, code varchar(10), price double)")
    on.sql(f"insert into {a} values (1, 'x', 1.5), (2, 'y', 2.5)")
    on.sql("call dolt_commit('-Am', 'load')")
    shared.run_end(first)
    shared.run_start(second, system="test", job="sums", parent=first)
    on = shared.at(run=second)
    on.sql(f"create table {b} as select code, sum(price) total from {a} group by code")
    on.sql("call dolt_commit('-Am', 'sums')")
    on.sql(f"drop table {a}")
    on.sql("call dolt_commit('-am', 'away')")
    shared.run_end(second, state="FAIL", error="no luck")
    events = []
    for run in (first, second):
        file = tmp_path / f"{run}.ndjson"
        shared.lineage_export(openlineage=str(file), run=run)
        events += [json.loads(line) for line in file.read_text().splitlines()]
    return shared, events, a, b


def test_events_are_those_of_openlineage(lines: tuple[stemma.Repo, list[dict[str, Any]], str, str]) -> None:
    _, events, a, b = lines
    assert [e["eventType"] for e in events] == ["START", "COMPLETE", "START", "FAIL"]
    seen: set[str] = set()
    for e in events:
        valid(e)
        for name, f in facets(e):
            if name == "stemma_commit":
                continue
            seen.add(name)
            # The class takes exactly the members that the facet has.
            known = {x.name for x in attr.fields(FACETS[name])}
            assert {k for k in f if not k.startswith("_")} <= known, name
            required = {x.name for x in attr.fields(FACETS[name]) if x.default is attr.NOTHING and not x.name.startswith("_")}
            assert required <= set(f), name
        made = RunEvent(
            eventType=RunState[e["eventType"]],
            eventTime=e["eventTime"],
            run=Run(e["run"]["runId"]),
            job=Job(e["job"]["namespace"], e["job"]["name"]),
            inputs=[InputDataset(d["namespace"], d["name"]) for d in e["inputs"]],
            outputs=[OutputDataset(d["namespace"], d["name"]) for d in e["outputs"]],
            producer=e["producer"],
        )
        assert made.run.runId == e["run"]["runId"]
    assert seen == set(FACETS)
    last = events[-1]
    out = {d["name"].split(".")[1]: d["facets"] for d in last["outputs"]}
    fields = out[b]["columnLineage"]["fields"]
    assert {n: [(x["field"], x["transformations"][0]["subtype"]) for x in f["inputFields"]] for n, f in fields.items()} == {
        "code": [("code", "IDENTITY")],
        "total": [("price", "AGGREGATION")],
    }
    assert [f["name"] for f in out[b]["schema"]["fields"]] == ["code", "total"]
    assert out[a]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"
    assert last["run"]["facets"]["parent"]["job"]["name"] == "load"
    assert last["run"]["facets"]["errorMessage"]["message"] == "no luck"


def test_events_of_others(shared: stemma.Repo, tmp_path: Path) -> None:
    run = str(uuid.uuid4())
    source, target = f"raw-{run[:6]}", f"clean-{run[:6]}"
    field = columns.InputField("food", source, "price", [columns.Transformation("DIRECT", "TRANSFORMATION")])
    event = RunEvent(
        eventType=RunState.COMPLETE,
        eventTime="2024-05-01T10:00:00.000000Z",
        run=Run(run),
        job=Job("food", "clean", {"sql": facet_v2.sql_job.SQLJobFacet(query="select 1")}),
        inputs=[InputDataset("food", source, {"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet("v1")})],
        outputs=[
            OutputDataset("food", target, {"columnLineage": columns.ColumnLineageDatasetFacet({"total": columns.Fields([field])})})
        ],
        producer="https://example.com/scheduler",
    )
    file = tmp_path / "events.ndjson"
    file.write_text(Serde.to_json(event) + "\n")
    assert shared.lineage_import(openlineage=str(file)).rows[0].runs == 1
    assert shared.lineage_import(openlineage=str(file)).rows[0].runs == 0
    found = shared.sql(f"select job, state from stemma_runs where run_uid = '{run}'")
    assert found.to_dict("records") == [{"job": "clean", "state": "COMPLETE"}]
    edge = shared.sql(f"select input_table, output_table, input_db from stemma_lineage_edges where run_uid = '{run}'")
    assert edge.to_dict("records") == [{"input_table": source, "output_table": target, "input_db": "openlineage:food"}]
    (tmp_path / "bad.ndjson").write_text("{\n")
    with pytest.raises(stemma.InvalidError, match="line 1: not an event"):
        shared.lineage_import(openlineage=str(tmp_path / "bad.ndjson"))


def test_the_rows_behind_a_row(lines: tuple[stemma.Repo, list[dict[str, Any]], str, str]) -> None:
    repo, _, a, b = lines
    found = repo.lineage_why(b, key=["code=x"]).rows
    assert [(r.table_name, r.how, r.input_row["id"]) for r in found] == [(a, "columns", 1)]
    assert repo.run_of(b).rows[0].how == "history"
    with pytest.raises(stemma.NotFoundError, match="row not found"):
        repo.lineage_why(b, key=["code=z"])


def test_reads_of_frames_are_a_runs(shared: stemma.Repo, table: str) -> None:
    run = str(uuid.uuid4())
    shared.sql(f"create table {table} (id int primary key, v int, w int)")
    shared.sql(f"insert into {table} values (1, 2, 3)")
    made = shared.sql(f"call dolt_commit('-Am', '{table}')").iloc[0, 0]
    on = shared.at(run=run, run_node="train", run_alias="frame")
    on.read_pandas(table, columns=["id", "v"])
    on.read_pandas(table, "HEAD")
    on.read_pandas(table, "HEAD")  # once is enough
    found = shared.sql(
        "select ref_asked, commit_hash, columns, node, dataset_alias, row_count from stemma_run_inputs "
        f"where run_uid = '{run}' and table_name = '{table}' order by seq"
    ).to_dict("records")
    assert [(r["commit_hash"][:32], r["node"], r["dataset_alias"], r["row_count"]) for r in found] == [
        (made, "train", "frame", 1)
    ] * 2
    assert [bool(r["columns"] and "w" not in json.dumps(r["columns"])) for r in found] == [True, False]
