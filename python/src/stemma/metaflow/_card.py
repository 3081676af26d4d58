"""Cards that draw what a run read and wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CARD", "lineage_card", "show"]

CARD = "stemma"
"""The id of the card that @stemma gives to a step."""

WIDTH, HEIGHT, STEP, MARGIN = 300, 46, 64, 130
"""Of a box in the drawing, from one box to the next below it, and between columns; in pixels."""


def show(data: Any, flow: Any) -> None:
    """Draws on the step's card what it read and wrote."""
    from metaflow import current

    name = f"_stemma_{current.step_name}_"
    parts = [v for k, v in vars(flow).items() if k.startswith(name)]
    if parts and data is not None:
        for component in _components(f"{current.flow_name}/{current.run_id}/{current.step_name}", parts[-1]):
            current.card[CARD].append(component)


def lineage_card(run: Any) -> list[Any]:
    """Returns the components of a card for a run: a drawing of the tables that it read and wrote, and a list of them.

        @card(type="blank", id="lineage")
        @step
        def end(self):
            for c in lineage_card(self.dolt):
                current.card["lineage"].append(c)

    Args:
        run: a run, its path, or its artifact `dolt`.

    """
    from stemma.metaflow._audit import Audit
    from stemma.metaflow._data import _audit_of

    audit = run if isinstance(run, dict) else _audit_of(run)
    return _components(audit.run if isinstance(audit, Audit) else "run", audit)


def _components(title: str, audit: Mapping[str, Any]) -> list[Any]:
    from metaflow.cards import Markdown, Table, VegaChart

    actions = sorted(audit["actions"].values(), key=lambda a: a["timestamp"])
    rows = [
        [a["kind"], a["table_name"] or a["query"], audit["configs"][a["config_id"]]["database"], (a["commit"] or "")[:32], a["key"]]
        for a in actions
    ]
    drawn = drawing(
        title,
        [_label(a, audit) for a in actions if a["kind"] == "read"],
        [_label(a, audit) for a in actions if a["kind"] == "write"],
    )
    return [
        Markdown(f"## {title}"),
        VegaChart(drawn),
        Table(rows, headers=["", "table or query", "database", "commit", "key"]),
    ]


def _label(action: Mapping[str, Any], audit: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the two lines that name a table at a commit."""
    where = str(audit["configs"][action["config_id"]]["database"]).rstrip("/").rsplit("/", 1)[-1]
    return action["table_name"] or action["key"], f"{where} @ {(action['commit'] or '')[:10]}"


def drawing(title: str, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Returns a chart of Vega-Lite: inputs on the left, the run in the middle, outputs on the right, each a box with two lines of text."""
    tall = max(len(inputs), len(outputs), 1) * STEP
    left, run, right = 0, WIDTH + MARGIN, 2 * (WIDTH + MARGIN)
    flow, _, rest = title.partition("/")
    boxes = [_box(run, tall / 2, flow, rest, "#fdf3e1")]
    lines = []
    for x, shown in ((left, inputs), (right, outputs)):
        for i, (name, where) in enumerate(shown):
            y = (tall - len(shown) * STEP) / 2 + i * STEP + STEP / 2
            boxes.append(_box(x, y, name, where, "#eef4fb"))
            ends = (x + WIDTH, y, run, tall / 2) if x < run else (run + WIDTH, tall / 2, x, y)
            lines.append(dict(zip(("x", "y", "x2", "y2"), ends, strict=True)))
    across = {"type": "quantitative", "axis": None, "scale": {"domain": [0, right + WIDTH]}}
    down = {"type": "quantitative", "axis": None, "scale": {"domain": [tall, 0]}}
    place = {"x": {"field": "x", **across}, "y": {"field": "y", **down}}
    area = {**place, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    text = {"type": "text", "align": "left", "dx": 10, "limit": WIDTH - 20}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": right + WIDTH,
        "height": tall,
        "view": {"stroke": None},
        "layer": [
            {"data": {"values": lines}, "mark": {"type": "rule", "color": "#7a8794"}, "encoding": area},
            {
                "data": {"values": boxes},
                "mark": {"type": "rect", "cornerRadius": 6, "stroke": "#7a8794"},
                "encoding": {**area, "fill": {"field": "fill", "type": "nominal", "scale": None}},
            },
            {
                "data": {"values": boxes},
                "mark": {**text, "fontSize": 14, "dy": 18},
                "encoding": {**place, "text": {"field": "first"}},
            },
            {
                "data": {"values": boxes},
                "mark": {**text, "fontSize": 11, "dy": 35},
                "encoding": {**place, "text": {"field": "second"}},
            },
        ],
    }


def _box(x: float, middle: float, first: str, second: str, fill: str) -> dict[str, Any]:
    return {
        "x": x,
        "x2": x + WIDTH,
        "y": middle - HEIGHT / 2,
        "y2": middle + HEIGHT / 2,
        "first": first,
        "second": second,
        "fill": fill,
    }
