"""Builds the program `stemma` into a wheel.

The wheel is then of this platform only and puts the program beside Python's own, which is on PATH in a virtual environment. It happens
when the package lies in a source tree of the program and Go is found; otherwise the wheel is the client alone, which runs anywhere.

STEMMA_PURE=1          leaves the program out
STEMMA_PREBUILT=PATH   takes this program instead of building one
STEMMA_GO=PATH         is the go command to build with
GOOS, GOARCH           are the platform to build for, this one otherwise
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What a wheel is tagged with: the program is one static file, so that any C library will do.
TAGS = {
    ("linux", "amd64"): "manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
    ("windows", "amd64"): "win_amd64",
    ("windows", "arm64"): "win_arm64",
}


class CustomBuildHook(BuildHookInterface):
    """Adds the program to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        only = self.metadata.name == "stemma-db-bin"
        if os.environ.get("STEMMA_PURE") == "1" and not only:
            return
        source = next((p for p in Path(self.root).resolve().parents if (p / "cmd" / "stemma" / "main.go").exists()), None)
        prebuilt = os.environ.get("STEMMA_PREBUILT")
        go = os.environ.get("STEMMA_GO") or shutil.which("go")
        if not prebuilt and not (source and go):
            if only:
                sys.exit("stemma-db-bin needs Go and a source tree of stemma to build from, or STEMMA_PREBUILT")
            if source:
                self.app.display_warning("Go was not found: the program stemma is left out, and only servers can be connected to")
            return
        goos, goarch = platform(go)
        if (goos, goarch) not in TAGS:
            sys.exit(f"there is no wheel tag for {goos}/{goarch}")
        name = "stemma.exe" if goos == "windows" else "stemma"
        program = Path(prebuilt) if prebuilt else self.compile(go, source, goos, goarch, name)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{TAGS[goos, goarch]}"
        build_data["shared_scripts"][str(program)] = name

    def compile(self, go: str, source: Path, goos: str, goarch: str, name: str) -> Path:
        out = Path(self.root) / "build" / f"{goos}-{goarch}" / name
        out.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-trimpath", "-buildvcs=false", "-tags=gms_pure_go", "-ldflags", f"-s -w -X main.version={self.metadata.version}"]
        done = subprocess.run(
            [go, "build", *flags, "-o", str(out), "./cmd/stemma"],
            cwd=source,
            env=os.environ | {"CGO_ENABLED": "0", "GOOS": goos, "GOARCH": goarch, "GOFLAGS": ""},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"building the program stemma failed:\n{done.stderr}")
        return out


def platform(go: str | None) -> tuple[str, str]:
    """Returns GOOS and GOARCH of what is built for."""
    if go:
        goos, goarch = subprocess.run([go, "env", "GOOS", "GOARCH"], capture_output=True, text=True, check=True).stdout.split()
        return goos, goarch
    machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "amd64").lower()
    goos = {"win32": "windows"}.get(sys.platform, sys.platform)
    return os.environ.get("GOOS", goos), os.environ.get("GOARCH", {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine))
