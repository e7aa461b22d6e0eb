"""Installs the agents' programs that CI must test with: pinned, by npm, into this environment. Nothing outside of it changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PINNED = {"claude": ("@anthropic-ai/claude-code", "2.1.329"), "codex": ("@openai/codex", "0.169.0")}
WITHIN = 240.0  # seconds; they are some hundred megabytes
IN_CI = bool(os.environ.get("CI"))  # read at import: tests see no variable of the machine


def folder() -> Path:
    """Where they are put and looked for: $ORCH_TEST_CLIS, else beside this environment's packages, gone with it."""
    return Path(os.environ.get("ORCH_TEST_CLIS") or Path(sys.prefix) / "agents")


def install() -> str:
    """Install what is missing; what went wrong, in a sentence, or nothing. Whoever needs a program that isn't there says so."""
    missing = [name for name in PINNED if not _there(name)]
    if missing and shutil.which("npm") is None:
        return f"{', '.join(missing)}: not installed, since there is no npm here."
    running = {name: _start(name) for name in missing}
    return " ".join(filter(None, (_finish(name, process) for name, process in running.items())))


def _there(name: str) -> bool:
    package, version = PINNED[name]
    try:
        found = json.loads((folder() / name / "node_modules" / package / "package.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(found["version"] == version) and os.access(folder() / name / "node_modules/.bin" / name, os.X_OK)


def _start(name: str) -> subprocess.Popen[str]:
    package, version = PINNED[name]
    place = folder() / name
    place.mkdir(parents=True, exist_ok=True)
    argv = ["npm", "install", "--prefix", str(place), "--no-fund", "--no-audit", f"{package}@{version}"]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(name: str, process: subprocess.Popen[str]) -> str:
    try:
        said, _ = process.communicate(timeout=WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"{name}: npm took longer than {WITHIN:g} s."
    return "" if process.returncode == 0 else f"{name}: npm ended with {process.returncode}: {said[-500:].strip()}"
