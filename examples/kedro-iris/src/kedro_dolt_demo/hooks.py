"""The hooks of the project."""

from stemma.kedro import StemmaHooks


class ProjectHooks(StemmaHooks):
    """Those of stemma, with the messages that they have by themselves."""
