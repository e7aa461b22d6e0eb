"""A task's record on disk: `.orch/state.json`. What is in it is checked before anything is decided on it.

Every fact in it is synced. What may be lost in a power cut (a stage, a streak in the making) is a line of `progress.jsonl` beside
it, a whole record too: the last one that is whole counts, and whatever becomes of them must not take the facts with it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.core.outcome import COUNTED
from orchestrator.core.record import Record, from_dict, to_dict
from orchestrator.core.task import split_token
from orchestrator.errors import StoreError
from orchestrator.store import durable

FILE = ".orch/state.json"
PROGRESS = ".orch/progress.jsonl"
LARGEST = 16 << 20
WORDS = frozenset({"detail", "why"})
COUNTS = ("serial", "inode", "attempts", "failures", "tried", "conflicts", "flaky", "streak", "backoffs")
VALUES = ("baseline", "best", "values")
TEXTS = ("id", "name", "slug")
TIMES = ("not_before", "created", "updated", "forced")


class BadRecord(StoreError):
    """The record is there and can't be one: cut, foreign, or edited into nonsense."""


def latest(folder: Path | str) -> Record | None:
    """The record in `folder` with what its holder said since the last synced fact. Raises as `read` does, for the facts only."""
    facts, progress = read(folder), _progress(folder)
    if facts is None or progress is None:
        return facts or progress
    return progress if progress.id == facts.id and progress.serial > facts.serial else facts


def read(folder: Path | str) -> Record | None:
    """The record in `folder`, None where there is none. Raises BadRecord, or StoreError where it can't be read at all."""
    path = f"{folder}/{FILE}"
    data = _content(path)
    return None if data is None else parse(data, path)


def _progress(folder: Path | str) -> Record | None:
    """What the holder said last, of what can be read. A holder that has lost the claim may have added a line just after: the one
    of whose token the folder's name tells goes before, else whoever said more."""
    path = f"{folder}/{PROGRESS}"
    _, token = split_token(os.path.basename(folder))  # noqa: PTH119 - as all of this
    said: list[Record] = []
    try:
        for line in reversed((_content(path) or b"").splitlines()):
            with suppress(BadRecord):
                said.append(parse(line, path))
                if said[-1].token == token:
                    return said[-1]
    except StoreError:
        return None
    return max(said, key=lambda record: record.serial, default=None)


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - 5,000 of these make a status
            return file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError as error:
        raise BadRecord(f"{path} is a folder.", hint="Remove it.") from error
    except OSError as error:
        raise durable.explain(error, "read", path) from error


def peek(folder: Path | str, *, running: bool = False) -> Record | None:
    """The same for whoever only looks: what can't be read is None, as it will be for the next claim. `running`: the latest."""
    try:
        return latest(folder) if running else read(folder)
    except StoreError:
        return None


def put(folder: Path | str, record: Record) -> None:
    """Replace the record of a task that nobody holds. Raises Gone where the folder has moved on: the path is the fence.

    One step: a kill before it leaves the old record, after it the new one. What a killed holder said last counts no more:
    whoever puts a record has read the `latest`.
    """
    durable.mkdir(f"{folder}/.orch", point="control")
    last = _progress(folder)
    serial = max(record.serial, last.serial if last else 0) + 1
    durable.write(f"{folder}/{FILE}", render(replace(record, serial=serial)), point="record.put", shared=True)


def parse(data: bytes, path: str) -> Record:
    """The record that `data` holds. Raises BadRecord, which names `path`."""
    if len(data) > LARGEST:
        raise BadRecord(f"{path} is larger than {LARGEST} bytes.", hint="The next claim sets it aside and begins afresh.")
    try:
        record = from_dict(json.loads(data))
        _check(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"[:300]
        raise BadRecord(f"{path} is no record ({problem}).", hint="The next claim sets it aside and begins afresh.") from error
    return record


def render(record: Record, mask: Callable[[str], str] | None = None) -> bytes:
    """`record` as it is stored, with `mask` over what it says in words. Raises ValueError for a number that JSON doesn't have."""
    data = to_dict(record)
    return json.dumps(_masked(data, mask) if mask else data, allow_nan=False).encode()


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    """`value` with its words masked. Ids, paths and commits are facts that others look up: they stay."""
    if isinstance(value, Mapping):
        return {key: mask(each) if key in WORDS and isinstance(each, str) else _masked(each, mask) for key, each in value.items()}
    return [_masked(each, mask) for each in value] if isinstance(value, list | tuple) else value


def _check(record: Record) -> None:
    """Types and ranges of everything that counts: a streak of "99" must not converge."""
    for name in COUNTS:
        count = getattr(record, name)
        if type(count) is not int or count < 0:
            raise ValueError(f"{name} is {count!r}")
    for name in TEXTS:
        if not isinstance(getattr(record, name), str):
            raise TypeError(f"{name} is {getattr(record, name)!r}")
    for name in TIMES:
        moment = getattr(record, name)
        if moment is not None and not _number(moment):
            raise ValueError(f"{name} is {moment!r}")
    _check_parts(record)
    for name in VALUES:
        values = getattr(record, name)
        if not isinstance(values, Mapping) or not all(_number(value) for value in values.values()):
            raise ValueError(f"{name} is {values!r}")


def _check_parts(record: Record) -> None:
    review = record.review
    if review is not None and not (isinstance(review.commit, str) and isinstance(review.seal, str)):
        raise TypeError(f"a review is {review!r}")
    if (found := record.resolving) is not None:
        texts = (found.commit, found.base, found.tip, found.began, *found.files)
        if not all(isinstance(text, str) for text in texts) or type(found.after) is not int:
            raise TypeError(f"a conflict is {found!r}")
    for pause in record.pauses.values():
        if not _number(pause.since) or not (pause.until is None or _number(pause.until)):
            raise ValueError(f"a pause is {pause!r}")
    for spend in (record.spend, record.carried, *record.agents.values(), *(attempt.spend for attempt in record.history)):
        if not all(value is None or _number(value) for value in (*map(spend.__getattribute__, COUNTED), spend.seconds)):
            raise ValueError(f"a spend is {spend!r}")


def _number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
