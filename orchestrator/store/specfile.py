"""Reading `autoresearch.md`: one file in, one `Spec` out, or every problem with its place.

The parsers (yaml, pydantic) are imported where they are needed, so that a process which only asks for names or keys stays lean.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.core import gates
from orchestrator.core.spec import Direction, Kind, Land, Metric, Mode, Review, Spec
from orchestrator.core.value import plain
from orchestrator.errors import Problem, SpecError

SPEC = "autoresearch.md"
AUTO = ".auto"
AUTO_SPEC = f"{AUTO}/prompt.md"
LOG = "autoresearch.jsonl"
MAX_BYTES = 1024 * 1024
UNSAID = Spec()
Key = tuple[int, int, int, int]
WHY = {
    errno.ENOENT: "no file",
    errno.ELOOP: "a symbolic link",
    errno.EACCES: "a file we may not read",
    errno.EISDIR: "something that is no regular file (a folder)",
    errno.ENXIO: "something that is no regular file (a socket)",
}
LONE = re.compile(r"\r(?!\n)")  # a line's end, too
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def path_of(folder: Path) -> Path | None:
    """The spec of a task folder: `.auto/prompt.md` where a session of that layout lies in it, else `autoresearch.md`."""
    for relative in (AUTO_SPEC, SPEC):
        if os.path.lexists(path := folder / relative):
            return path
    return None


def key_of(path: Path) -> Key:
    """What changes whenever the file does: inode, size, mtime and ctime. Raises OSError where there is no file."""
    status = path.lstat()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def files_of(folder: str, top: Mapping[str, os.stat_result] | None = None) -> tuple[os.stat_result, os.stat_result | None] | None:
    """What `path_of`, `log_of` and `key_of` would find, without building paths: thousands of folders pass through here.

    `top` is what lies in the folder, where the caller has listed that anyway: nothing else is looked for.
    """
    if (top is None or AUTO in top) and (status := _status(f"{folder}/{AUTO_SPEC}")):
        return status, _status(f"{folder}/{AUTO}/log.jsonl")
    if top is not None:
        return (top[SPEC], top.get(LOG)) if SPEC in top else None
    status = _status(f"{folder}/{SPEC}")
    return (status, _status(f"{folder}/{LOG}")) if status else None


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(folder: Path) -> Spec:
    """The spec in a task folder. Raises SpecError with path, line, column, what was found and what was expected."""
    if folder.is_symlink():
        raise _refused(folder, "a symbolic link", "a folder: moving a link would not move the task")
    path = path_of(folder)
    if path is None:
        raise SpecError((Problem(folder, 0, 0, f"no {SPEC}", "one that says what the task is"),))
    _refuse_links(folder, path)
    return parse(path, as_written(path), log=log_of(path))


def read_if_any(folder: Path) -> Spec:
    """The same, of a task for which it isn't needed: one that can't be read says nothing."""
    try:
        return read(folder)
    except (SpecError, OSError):
        return UNSAID


def log_of(path: Path) -> Path | None:
    """The session log beside a spec; its config line may name the metric."""
    log = path.with_name("log.jsonl" if path.parent.name == AUTO else LOG)
    return log if os.path.lexists(log) else None


def line_of(folder: Path, key: str) -> tuple[Path, int]:
    """The spec of a task folder and the line on which it says `key`; 0 where that can't be told."""
    path = path_of(folder) or folder / SPEC
    said = re.compile(rf"\s*(?:[{{-]\s*)?[\"']?{key}[\"']?\s*:|\*\*{key}:\*\*", re.IGNORECASE)
    try:
        lines = read_text(path).split("\n")
    except SpecError:
        return path, 0
    return path, next((number for number, line in enumerate(lines, 1) if said.match(line)), 0)


def parse(path: Path, text: str, *, log: Path | None = None) -> Spec:
    """The spec written in `text`; `path` is only named in problems. Raises SpecError."""
    from orchestrator.store import assemble, header, sections

    front = header.read_header(path, _plain(text))
    body = sections.read_body(front.body, front.body_line)
    return assemble.spec(path, front, body, log)


def read_text(path: Path) -> str:
    """The file as text with `\\n` line ends. Raises SpecError for everything that is no ordinary, small UTF-8 text file."""
    return _plain(as_written(path))


def as_written(path: Path) -> str:
    """The same with the file's own byte order mark and line ends, for who writes it back; but a lone `\\r` is `\\n`."""
    data = _bytes(path)
    if data.startswith(UTF16):
        raise _refused(path, "UTF-16 text", "UTF-8", line=1)
    try:
        text = LONE.sub("\n", data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise _refused(path, f"the byte 0x{data[error.start]:02x}, which is not UTF-8", "UTF-8 text", line, column) from None
    if (at := text.find("\x00")) >= 0:
        raise _refused(path, "a NUL character", "plain text", text.count("\n", 0, at) + 1)
    if line := _conflict(_plain(text)):
        raise _refused(path, "a merge conflict's markers", "one version of the text: keep a side, delete the markers", line)
    return text


def _plain(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _bytes(path: Path) -> bytes:
    """At most MAX_BYTES of a regular file, never following a link and never waiting on a FIFO."""
    try:
        with open(path, "rb", opener=careful) as file:  # Path.open takes no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refused(path, "something that is no regular file", "a text file")
            if status.st_size > MAX_BYTES:
                raise _refused(path, f"{status.st_size} bytes", f"at most {MAX_BYTES}; put long material into files beside it")
            return file.read(status.st_size)
    except OSError as error:
        raise _refused(path, WHY.get(error.errno or 0, error.strerror or "an error"), "a readable file") from None


def careful(path: str, flags: int) -> int:
    """An opener for `open`, for files of which nothing is known: follows no link and waits for no FIFO."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _refuse_links(folder: Path, path: Path) -> None:
    for part in (path.parent, path):
        if part != folder and part.is_symlink():
            raise _refused(part, "a symbolic link", "a file in the task's own folder")


def _conflict(text: str) -> int:
    """The line of the first conflict marker outside fenced code, or 0. One alone may be prose; a pair is a conflict."""
    if "<<<<<<<" not in text or ">>>>>>>" not in text:
        return 0
    first = 0
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and line.startswith("<<<<<<< "):
            first = first or number
        elif not fenced and first and line.startswith(">>>>>>> "):
            return first
    return 0


def _refused(path: Path, found: str, expected: str, line: int = 0, column: int = 1) -> SpecError:
    return SpecError((Problem(path, line, column if line else 0, found, expected),))


def to_json(spec: Spec) -> dict[str, Any]:
    """`spec` as plain data; what has its default is left out."""
    said = ((name, getattr(spec, name)) for name in Spec.__match_args__)
    return {name: plain(value) for name, value in said if value != getattr(UNSAID, name)}


def from_json(data: Mapping[str, Any]) -> Spec:
    """The spec in `data`. Raises TypeError, KeyError or ValueError where it is none."""
    if not hasattr(data, "items"):
        raise TypeError("a spec as plain data is a mapping")
    values = dict(data)
    if "metrics" in values:
        values["metrics"] = tuple(_metric(item) for item in values["metrics"])
    if "land" in values:
        values["land"] = Land(values["land"])
    for key, kind in (("review", Review), ("mode", Mode), ("enforcement", gates.Mode)):
        if key in values:
            values[key] = kind(values[key])
    if "gates" in values:
        values["gates"] = tuple(gates.from_plain(item) for item in values["gates"])
    for key in ("labels", "scope", "off_limits", "depends_on", "fallback", "phases", "skills", "warnings"):
        if key in values:
            values[key] = tuple(values[key])
    return Spec(**values)


def _metric(data: Mapping[str, Any]) -> Metric:
    return Metric(**{**data, "direction": Direction(data["direction"]), "kind": Kind(data["kind"])})
