"""The task of Metaflow that this process is."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from typing import Any

from stemma._errors import InvalidError

__all__ = ["Task", "current_task", "flow_of", "is_flow", "remote_runtime", "run_uid"]

_SPACE = uuid.UUID("6d0b3a0e-58b5-5a5c-9f0f-2f6f3c1f7f52")
"""The name space of the ids under which databases record tasks: a task has one id, whichever process asks, so that a retry goes on with it."""

_REMOTE = {
    "METAFLOW_KUBERNETES_WORKLOAD": "Kubernetes",
    "METAFLOW_ARGO_WORKFLOW_FAMILY": "Argo Workflows",
    "METAFLOW_AIRFLOW_TASK_ID": "Airflow",
    "AWS_BATCH_JOB_ID": "AWS Batch",
}


def run_uid(pathspec: str) -> str:
    """Returns the id under which databases record a task, or a run, of Metaflow."""
    return str(uuid.uuid5(_SPACE, pathspec))


def remote_runtime() -> str | None:
    """Returns what runs this task elsewhere than on the machine where the flow was started; None when it runs there."""
    return next((name for variable, name in _REMOTE.items() if os.environ.get(variable)), None)


@dataclass(frozen=True)
class Task:
    """The running task.

    Attributes:
        flow, run, step, task: its names.
        attempt: 0, and one more with each retry.
        node: the step, and the place in its foreach: the same for a task and for the one that does its work in a resumed run.
        origin: the run that this one resumes; None when it resumes none.

    """

    flow: str
    run: str
    step: str
    task: str
    attempt: int
    node: str
    origin: str | None

    @property
    def run_path(self) -> str:
        """The run, as `Flow/run`."""
        return f"{self.flow}/{self.run}"

    @property
    def pathspec(self) -> str:
        """The task, as `Flow/run/step/task`."""
        return f"{self.flow}/{self.run}/{self.step}/{self.task}"

    def runs(self) -> list[str]:
        """Returns the ids under which databases know this run, and the one that it resumes."""
        return [run_uid(f"{self.flow}/{r}") for r in (self.run, self.origin) if r]


def current_task(flow: Any) -> Task | None:
    """Returns the running task; None outside of a flow."""
    if "metaflow" not in sys.modules:
        return None
    from metaflow import current

    if not current.is_running_flow or current.task_id is None:
        return None
    name, run, step, task = str(current.flow_name), str(current.run_id), str(current.step_name), str(current.task_id)
    frames = getattr(flow, "_foreach_stack", None) or ()
    node = ".".join([step, *(str(f.index) for f in frames)])
    return Task(name, run, step, task, int(current.retry_count or 0), node, current.origin_run_id)


def is_flow(thing: Any) -> bool:
    """Tells whether a thing is a flow that runs, not a run or the path of one."""
    if "metaflow" not in sys.modules:
        return False
    from metaflow import FlowSpec

    return isinstance(thing, FlowSpec)


def flow_of(task: Task) -> Any:
    """Returns the flow whose step is being executed, which `DoltDT(run='Flow/run')` is not told.

    Raises:
        InvalidError: no step of the flow is on the stack of calls, as in a thread.

    """
    frame = sys._getframe(1)
    while frame is not None:
        me = frame.f_locals.get("self")
        if is_flow(me) and type(me).__name__ == task.flow:
            return me
        frame = frame.f_back  # type: ignore[assignment]
    raise InvalidError(f"the flow {task.flow} is not known here", hint="call DoltDT in the step, or pass run=self")
