"""The project's settings."""

from kedro_dolt_demo.hooks import ProjectHooks

DOLT_DATABASE = "kedro_dolt_demo"
HOOKS = (ProjectHooks(database=DOLT_DATABASE),)
