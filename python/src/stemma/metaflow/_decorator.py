"""`@stemma`: a step with tables."""

from __future__ import annotations

from typing import Any

from metaflow import StepMutator, UserStepDecorator
from metaflow.exception import MetaflowException

from stemma import _address
from stemma._errors import StemmaError
from stemma.metaflow._audit import DoltConfig
from stemma.metaflow._card import CARD, show
from stemma.metaflow._data import DoltDT

__all__ = ["stemma"]

REMOTE = ("kubernetes", "batch")
"""The decorators of Metaflow that run a step on another machine."""


class _Open(UserStepDecorator):
    """Opens the database before a step, and commits or undoes what the step wrote after it."""

    _allowed_kwargs = True

    def init(self, *_: Any, **options: Any) -> None:
        self.options = options
        self.data: DoltDT | None = None

    def pre_step(self, step_name: str, flow: Any, inputs: Any = None) -> None:  # noqa: ARG002 - the interface is Metaflow's
        filled: dict[str, Any] = {
            k: v.format_map(_Attributes(flow, step_name)) if isinstance(v, str) else v for k, v in self.options.items()
        }
        filled["database"] = filled.pop("db")
        self.data = DoltDT(run=flow, config=DoltConfig(**{k: v for k, v in filled.items() if v}))
        flow.stemma = self.data.__enter__()

    def post_step(self, step_name: str, flow: Any, exception: BaseException | None = None) -> Any:  # noqa: ARG002 - the interface is Metaflow's
        data, self.data = self.data, None
        vars(flow).pop("stemma", None)  # it is for the step, and no artifact
        if data is not None:
            try:
                data.__exit__(None if exception is None else type(exception), exception, None)
            except StemmaError as e:
                if exception is None:
                    return e
            else:
                if exception is None:
                    show(data, flow)
        return exception


class stemma(StepMutator):  # noqa: N801 - decorators of Metaflow are written so
    """Gives a step tables: `self.stemma` reads and writes as DoltDT does, and what the step wrote becomes one commit when it succeeds.

        @stemma(db="{analysis_db}", branch="main")
        @step
        def start(self):
            self.stemma.write(self.stemma.read("prices").groupby("code").median(), "medians")

    A `{name}` in an option is a parameter or an artifact of the flow. The step gets a card, `stemma`, that draws what it read and wrote.

    Args:
        db: the database: a path, or the URI of a server.
        branch: the branch; left out, it is the one that the database is on.
        commit: the commit, tag or branch to read; left out, it is the head of the branch.

    """

    _allowed_kwargs = True

    def init(self, *_: Any, db: str, branch: str | None = None, commit: str | None = None) -> None:
        self.options = {"db": db, "branch": branch, "commit": commit}

    def mutate(self, mutable_step: Any) -> None:
        db = self.options["db"]
        away = [d for d in REMOTE if mutable_step.has_decorator(d)]
        if away and db and not db.startswith("{") and _address.parse(db).directory is not None:
            raise MetaflowException(
                f"@stemma(db={db!r}) is a path, and @{away[0]} runs the step on another machine, where that directory is not: "
                "serve the database (stemma serve) and name it by stemma://host:port/database"
            )
        mutable_step.add_decorator(_Open, deco_kwargs={k: v for k, v in self.options.items() if v is not None})
        if not any(kw.get("id") == CARD for _, _, _, kw in mutable_step.get_decorator_specs("card")):
            mutable_step.add_decorator("card", deco_kwargs={"type": "blank", "id": CARD})


class _Attributes:
    """The attributes of a flow, for a text with names in braces."""

    def __init__(self, flow: Any, step: str) -> None:
        self._flow, self._step = flow, step

    def __getitem__(self, name: str) -> Any:
        try:
            return "" if (v := getattr(self._flow, name)) is None else v
        except AttributeError:
            raise MetaflowException(
                f"@stemma at step {self._step} names {{{name}}}, which is no parameter or artifact of the flow"
            ) from None
