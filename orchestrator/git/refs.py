"""Where refs point. Read straight from their files, since a process per look costs milliseconds; git is asked where
the repository keeps them another way (reftable)."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from orchestrator.git.command import Git
from orchestrator.store.failpoints import hit

OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
SYMBOLIC = "ref: "
CONTROL, MAKING = "orchestrator", "ref."
DEPTH = 5  # a symbolic ref may point to another, as far as git itself follows


def files(common: Path) -> bool:
    """Whether this repository keeps its refs as files."""
    return os.path.isdir(f"{common}/refs/heads")  # noqa: PTH112 - asked a hundred times a task


def read(common: Path, name: str) -> str | None:
    """The object that `name` (a full ref name) points to, or None."""
    if not files(common):
        return _ask(common, name)
    for _ in range(DEPTH):
        text = content(f"{common}/{name}")
        if text is not None and not text.startswith(SYMBOLIC):
            return text if OBJECT.fullmatch(text) else None
        further = text.removeprefix(SYMBOLIC).strip() if text else _link(f"{common}/{name}")
        if further is None:
            return _packed(common, name)
        name = further
    return None


def create(common: Path, name: str, commit: str) -> bool:
    """Make the ref `name`, which did not exist when it was looked for, in one step that replaces nothing. False where git has to
    be asked: refs that are no files, another one in the way, no permission.

    Not by a lock beside it, as git does: a kill would leave that in everybody's way. What is left here is one small file in our
    own folder, for `sweep`. Killed after the link, it is the ref's own file by another name: nobody may ever open that again.
    """
    path, made = f"{common}/{name}", f"{common}/{CONTROL}/{MAKING}{os.urandom(6).hex()}"
    if not files(common) or os.path.lexists(f"{path}.lock"):
        return False
    linked = False
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(made, "xb", buffering=0) as file:  # noqa: PTH123
            file.write(f"{commit}\n".encode())
            os.fsync(file.fileno())  # an empty ref after a power cut is one on which git's commands fail
        hit("git.ref:before")
        os.link(made, path)
        linked = True
        hit("git.ref:after")
    with contextlib.suppress(OSError):
        os.unlink(made)  # noqa: PTH108
    return linked


def sweep(common: Path) -> None:
    """Take away what is left of refs whose makers were killed. One that is being made just now is made by git instead."""
    folder = common / CONTROL
    for name in names(folder):
        if name.startswith(MAKING):
            (folder / name).unlink(missing_ok=True)


def target(common: Path, name: str) -> str | None:
    """The full name that a symbolic ref points to, or None where `name` is none."""
    if not files(common):
        output = Git(common).run("symbolic-ref", "-q", name, ok=(0, 1, 128))
        return output.stdout.decode(errors="surrogateescape").strip() or None
    return symbolic(f"{common}/{name}")


def symbolic(path: str) -> str | None:
    """The full name of the ref that the file at `path` names; None where it holds an object, or isn't there."""
    text = content(path)
    return text.removeprefix(SYMBOLIC).strip() if text and text.startswith(SYMBOLIC) else _link(path)


def real(common: Path, name: str) -> str:
    """The full name of the ref that `name` leads to in the end: itself, unless it is a symbolic one."""
    for _ in range(DEPTH):
        if (further := target(common, name)) is None:
            break
        name = further
    return name


def below(common: Path, prefix: str) -> bool:
    """Whether any ref is called `prefix` or lies below it."""
    if not files(common):
        return bool(Git(common).text("for-each-ref", "--count=1", "--format=%(refname)", prefix))
    path = common / prefix
    if path.is_file() or any(files for _, _, files in os.walk(path)):
        return True
    return any(name == prefix or name.startswith(f"{prefix}/") for name, _ in _packed_refs(common))


def content(path: Path | str) -> str | None:
    """The text of a small file of git's, stripped; None where there is none."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a hundred of these make a task
            return os.fsdecode(file.read()).strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def names(folder: Path) -> list[str]:
    """What lies in a folder of git's; nothing where there is none. A tenth of what a pattern costs."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def entries(folder: Path) -> list[Path]:
    """The same as paths, sorted."""
    return [folder / name for name in sorted(names(folder))]


def _link(path: str) -> str | None:
    """The ref that a link stands for, as git made symbolic ones once, and does by core.preferSymlinkRefs. What it leads to need
    not be there: the ref may be packed, or lie in the folder that all worktrees share."""
    try:
        found = os.readlink(path)  # noqa: PTH115
    except OSError:
        return None
    return found if found.startswith("refs/") else None


def _packed(common: Path, name: str) -> str | None:
    return next((value for packed, value in _packed_refs(common) if packed == name), None)


def _packed_refs(common: Path) -> list[tuple[str, str]]:
    lines = (content(f"{common}/packed-refs") or "").splitlines()
    pairs = (line.partition(" ") for line in lines if line and line[0] not in "#^")
    return [(name, value) for value, _, name in pairs]


def _ask(common: Path, name: str) -> str | None:
    output = Git(common).run("rev-parse", "--verify", "-q", f"{name}^{{object}}", ok=(0, 1, 128))
    return output.stdout.decode().strip() or None
