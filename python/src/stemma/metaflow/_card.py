"""Cards that draw what a run read and wrote."""

from __future__ import annotations

import base64
import html
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
    from metaflow.cards import Markdown, Table

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
        Markdown(f"![what it read, and what it wrote](data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()})"),
        Table(rows, headers=["", "table or query", "database", "commit", "key"]),
    ]


def _label(action: Mapping[str, Any], audit: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the two lines that name a table at a commit."""
    where = str(audit["configs"][action["config_id"]]["database"]).rstrip("/").rsplit("/", 1)[-1]
    return action["table_name"] or action["key"], f"{where} @ {(action['commit'] or '')[:10]}"


def drawing(title: str, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> str:
    """Returns an SVG: inputs on the left, the run in the middle, outputs on the right, each with two lines of text."""
    tall = max(len(inputs), len(outputs), 1) * STEP + 10
    columns = [0, WIDTH + MARGIN, 2 * (WIDTH + MARGIN)]
    middle = tall // 2
    boxes, lines = [], []
    for column, shown in ((columns[0], inputs), (columns[2], outputs)):
        top = (tall - len(shown) * STEP) // 2
        for i, (name, where) in enumerate(shown):
            y = top + i * STEP + (STEP - HEIGHT) // 2
            boxes.append(_box(column, y, name, where, "#eef4fb"))
            a, b = (column + WIDTH, y + HEIGHT // 2), (columns[1], middle)
            if column:
                a, b = (columns[1] + WIDTH, middle), (column, y + HEIGHT // 2)
            lines.append(f'<path d="M{a[0]} {a[1]} C{a[0] + 60} {a[1]},{b[0] - 60} {b[1]},{b[0]} {b[1]}" fill="none" stroke="#7a8794"/>')
    flow, _, rest = title.partition("/")
    boxes.append(_box(columns[1], middle - HEIGHT // 2, flow, rest, "#fdf3e1"))
    wide = columns[2] + WIDTH
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" font-family="sans-serif">{"".join(lines)}{"".join(boxes)}</svg>'


def _box(x: int, y: int, first: str, second: str, fill: str) -> str:
    text = "".join(
        f'<text x="{x + 10}" y="{y + dy}" font-size="{size}" fill="#1c2733">{html.escape(t if len(t) <= 40 else t[:39] + "…")}</text>'
        for t, dy, size in ((first, 19, 14), (second, 37, 11))
    )
    return f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#7a8794"/>{text}'

