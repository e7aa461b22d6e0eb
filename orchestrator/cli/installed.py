"""Which agents' programs are here: their versions, and whether they are logged in. Costs no token and asks no provider.

A Python program's version stands beside it. The others are asked, all at the same time and with a deadline, and what they say is
remembered for as long as the program's file is the same; one that fails is asked again, since what it lacks may have come. Logged
in is whatever has one of the variables or files that its adapter names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.agents.protocol import Traits
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.value import Value

DEADLINE = 10.0  # seconds; one that is slower is asked again by the next check
VERSION = re.compile(r"\d+\.\d+(?:[.+-]?\w+)*")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Login(Value):
    """Whether an agent is logged in: `by` is the variable or file that says so. `known` False: it has no login to look for."""

    by: str | None
    known: bool = True

    @property
    def missing(self) -> bool:
        return self.known and self.by is None


def login(traits: Traits, environ: Mapping[str, str]) -> Login:
    """What `environ` and the user's files say; the names only, never what they hold."""
    found = next((name for name in traits.credentials if _there(name, environ)), None)
    return Login(found, known=bool(traits.credentials))


def versions(programs: Iterable[str], cache: Path | None = None) -> dict[str, str]:
    """The versions of those programs that are on PATH and answer in time; empty where one fails over that, or tells none. `cache`
    is a file that remembers them."""
    paths = {program: path for program in programs if program and (path := shutil.which(program))}
    keys = {program: _identity(path) for program, path in paths.items()}
    known = _remembered(cache)
    known |= {keys[program]: version for program, path in paths.items() if (version := _beside(Path(path), program))}
    unknown = {program: path for program, path in paths.items() if keys[program] not in known}
    asked = {keys[program]: said for program, said in _asked(unknown).items()}
    if asked and cache:
        _remember(cache, {key: said for key in keys.values() if (said := {**known, **asked}.get(key))})
    told = known | asked
    return {program: told[key] for program, key in keys.items() if key in told}


def cache_file(environ: Mapping[str, str]) -> Path:
    """Where versions are remembered for this user."""
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "orchestrator" / "versions.json"


def _there(name: str, environ: Mapping[str, str]) -> bool:
    if "/" not in name:
        return bool(environ.get(name))
    path = Path(os.path.expandvars(name)).expanduser()
    with suppress(OSError):
        return path.stat().st_size > 0
    return False


def _asked(paths: Mapping[str, str]) -> dict[str, str]:
    """Ask them all at once, each in an empty folder, with what an agent's session would see of the environment."""
    if not paths:
        return {}
    from concurrent.futures import ThreadPoolExecutor

    with tempfile.TemporaryDirectory(prefix="orchestrator-check-") as folder, ThreadPoolExecutor(len(paths)) as pool:
        answers = pool.map(lambda path: _ask(path, Path(folder)), paths.values())
        return {program: version for program, version in zip(paths, answers, strict=True) if version is not None}


def _ask(path: str, folder: Path) -> str | None:
    """The version that a program tells, empty where that fails, None where it took too long."""
    from orchestrator.proc import environment
    from orchestrator.proc.capture import capture

    env = {**environment.allowed(os.environ), "TERM": "dumb", "NO_COLOR": "1"}
    said = capture([path, "--version"], cwd=folder, env=env, timeout=DEADLINE)
    found = VERSION.search(f"{said.stdout.decode(errors='replace')}\n{said.stderr.decode(errors='replace')}")
    if said.end is ProcessEnd.TIMED_OUT:
        return None
    return found[0] if said.ok and found else ""


def _beside(path: Path, program: str) -> str:
    """The version of the Python package that a script of its own environment belongs to."""
    line = re.compile(rf"^{re.escape(program)}\s*=", re.MULTILINE)
    for points in path.resolve().parent.parent.glob("lib/python*/site-packages/*.dist-info/entry_points.txt"):
        with suppress(OSError):
            if line.search(points.read_text(encoding="utf-8", errors="replace")):
                return points.parent.name.removesuffix(".dist-info").rpartition("-")[2]
    return ""


def _identity(path: str) -> str:
    """Changes when the program is updated: the file that a link in the end leads to."""
    real = Path(path).resolve()
    facts = real.stat()
    return f"{real}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def _remembered(cache: Path | None) -> dict[str, str]:
    try:
        found = json.loads(cache.read_text(encoding="utf-8")) if cache else {}
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(cache: Path, known: Mapping[str, str]) -> None:
    with suppress(OSError):  # then they are asked again
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_name(f"{cache.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        temporary.replace(cache)
