"""Specs already parsed, so that a status of thousands of tasks needs no parser. Deletable; a broken one is ignored."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import __version__
from orchestrator.core.spec import Spec
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError, Problem, SpecError
from orchestrator.store import durable, specfile

SCHEMA = 10
LARGEST = 64 * 1024 * 1024
SPARE = 100  # specs of tasks that have gone, and as many as are there, may be kept
RACY = 0.05  # a file changed again within the tick of its time stamp would look the same
COARSE = 2.0  # on file systems that stamp whole seconds
Signature = list[int]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reading(Value):
    """What reading one spec gave: the spec without its prose, or its problems, with paths below the task's folder."""

    spec: Spec | None
    problems: tuple[Problem, ...] = ()

    def lines(self, folder: str) -> tuple[str, ...]:
        """The problems in words, for a task that lies in `folder` now."""
        return tuple(str(replace(problem, path=Path(folder, problem.path))) for problem in self.problems)


class SpecCache:
    """Readings by what changes with the file: inode, size, mtime and ctime of the spec, and of the session log beside it."""

    def __init__(self, path: Path | None = None) -> None:
        """`path` None: in memory only."""
        self._path = path
        self._entries: dict[str, list[Any]] = _load(path) if path else {}
        self._readings: dict[str, Reading] = {}
        self._used: set[str] = set()
        self._dirty = False

    @classmethod
    def of(cls, control: Path) -> SpecCache:
        """The cache of a queue, by its `.orch` folder."""
        return cls(control / "cache" / "specs.json")

    def read(self, folder: str, now: float, top: Mapping[str, os.stat_result] | None = None) -> tuple[Reading, float] | None:
        """The reading of a folder's spec and the spec's ctime, from memory where nothing changed; None where there is no
        spec. `now` is the file system's clock, `top` what lies in the folder, where the caller knows that."""
        found = specfile.files_of(folder, top)
        if found is None:
            return None
        status, log = found
        inode = str(status.st_ino)
        signature = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, *_signature(log)]
        self._used.add(inode)
        reading = self._known(inode, signature)
        if reading is None:
            reading = read(Path(folder))
            if not _racy(status.st_ctime_ns, now) and all(problem.line for problem in reading.problems):
                self._readings[inode] = reading
                self._entries[inode] = [signature, *_plain(reading)]
                self._dirty = True
        return reading, status.st_ctime

    def keep(self, folders: Collection[str]) -> None:
        """Of the specs that are known keep those of the tasks in these folders: for a process that lives on while tasks come and
        go. Looked for only where most may be of tasks that have gone."""
        if max(len(self._entries), len(self._used)) <= 2 * len(folders) + SPARE:
            return
        living = {inode for folder in folders if (inode := _inode(folder))}
        self._entries = {inode: entry for inode, entry in self._entries.items() if inode in living}
        self._readings = {inode: reading for inode, reading in self._readings.items() if inode in living}
        self._used &= living
        self._dirty = True

    def save(self, *, prune: bool = False) -> None:
        """Write it down for the next process, as far as that works. `prune`: only what was used since it was made."""
        if prune and len(self._entries) > len(self._used):
            self._entries = {inode: entry for inode, entry in self._entries.items() if inode in self._used}
            self._dirty = True
        if self._path is None or not self._dirty or not self._path.parent.parent.is_dir():
            return
        data = json.dumps({"schema": SCHEMA, "version": __version__, "entries": self._entries}, separators=(",", ":"))
        with contextlib.suppress(OrchestratorError):
            durable.mkdir(self._path.parent, point="cache")
            durable.write(self._path, data.encode(), point="cache", durable=False, shared=True)
            self._dirty = False

    def _known(self, inode: str, signature: Signature) -> Reading | None:
        entry = self._entries.get(inode)
        if entry is None or entry[0] != signature:
            return None
        reading = self._readings.get(inode)
        if reading is None:
            try:
                reading = _restored(entry)
            except (TypeError, KeyError, ValueError, AttributeError):
                return None
            self._readings[inode] = reading
        return reading


def read(folder: Path) -> Reading:
    """The spec in `folder` without its prose, or why there is none; never raises for what a person wrote."""
    try:
        return Reading(slim(specfile.read(folder)))
    except SpecError as error:
        return Reading(None, tuple(replace(problem, path=_below(problem.path, folder)) for problem in error.problems))


def slim(spec: Spec) -> Spec:
    """`spec` without the long texts that only a prompt needs: `specfile.read` has them."""
    return replace(spec, body="", acceptance="", constraints="", notes="")


def _inode(folder: str) -> str | None:
    try:
        found = specfile.files_of(folder)
    except OSError:
        return None
    return str(found[0].st_ino) if found else None


def _signature(log: os.stat_result | None) -> Signature:
    return [log.st_ino, log.st_size, log.st_mtime_ns, log.st_ctime_ns] if log else []


def _racy(ctime_ns: int, now: float) -> bool:
    window = COARSE if ctime_ns % 1_000_000_000 == 0 else RACY
    return now - ctime_ns / 1e9 < window


def _plain(reading: Reading) -> tuple[dict[str, Any] | None, list[list[Any]]]:
    spec = None if reading.spec is None else specfile.to_json(reading.spec)
    return spec, [[str(problem.path), *astuple(problem)[1:]] for problem in reading.problems]


def _restored(entry: Sequence[Any]) -> Reading:
    _, spec, problems = entry
    if spec is None and not problems:
        raise ValueError("an entry that says nothing")
    return Reading(
        None if spec is None else specfile.from_json(spec),
        tuple(
            Problem(Path(path), int(line), int(column), str(found), str(expected))
            for path, line, column, found, expected in problems
        ),
    )


def _below(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        if path.stat().st_size > LARGEST:
            return {}
        data = json.loads(path.read_bytes())
        current = data["schema"] == SCHEMA and data["version"] == __version__
        return dict(data["entries"]) if current else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
