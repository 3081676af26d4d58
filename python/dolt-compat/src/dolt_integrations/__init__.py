"""The import paths of dolt_integrations (2021), on stemma: `dolt_integrations.metaflow` and `dolt_integrations.core`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("dolt_integrations")
except PackageNotFoundError:
    pass
else:
    raise ImportError(
        "dolt_integrations is installed, and so is stemma-dolt-compat, which has its import path: pip uninstall dolt_integrations"
    )
