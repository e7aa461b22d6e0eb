"""The seal (`rulings` 20-21): a task folder's evaluator as bytes in memory, out of the agent's reach.

The worker seals once per claim and measures from private copies made of these bytes, so nothing that happens to the folder on
disk meanwhile can change a result. The digest says whether two claims judged by the same evaluator.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.spec import Spec
from orchestrator.core.value import Value, plain
from orchestrator.errors import ClaimLost, OrchestratorError, SpecError, StoreError
from orchestrator.store import durable, specfile

if TYPE_CHECKING:
    from orchestrator.store.claim import Claim

CAP = 100 * 1024 * 1024
OURS = 0o700  # the mode of every folder of a copy
MOST = 20_000  # files; a copy of them is made for every measurement
# What editors and interpreters leave behind; neither asked for nor part of an evaluator.
LITTER = re.compile(r"^(\..*\.sw[a-z]|\.#.*|#.*#|.*~|4913|__pycache__|\.DS_Store)$")
# Session logs grow while nothing about the evaluator changes: sealed with the rest, but not in the digest.
LOGS = frozenset({"autoresearch.jsonl", "autoresearch.ideas.md", ".auto/log.jsonl", ".auto/ideas.md"})
# What of a spec decides on work (`rulings` 20), or on the number that a measurement gives. A new priority is no new evaluator.
JUDGES = frozenset({"metrics", "benchmark", "benchmark_timeout", "converge", "scope", "off_limits", "land", "env", "setup"})
JUDGES_IF_SAID = frozenset(  # without them a spec's digest is what it always was
    {"alpha", "enforcement", "gates", "holdout", "mode", "plateau", "review"}
)
DECIDES = JUDGES | JUDGES_IF_SAID
SPECS = frozenset({"autoresearch.md", ".auto/prompt.md"})
DEPTH = 64
TRIES = 3
TAKE_OUT = "Take it out of the task folder; the benchmark can find it elsewhere by an absolute path."
INDEX = "SEALED.json"
KEPT = 10 * 1024 * 1024


Written = tuple[int, int, int] | None  # None: nothing is there


class CantSeal(StoreError):
    """The task folder holds what can't be sealed, and will at the next try: a person has to take it out."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SealedFile(Value):
    """One file (`data`), symbolic link (`link`, its text) or folder (neither) below the task folder."""

    path: str
    mode: int
    data: bytes | None = None
    link: str | None = None

    @property
    def folder(self) -> bool:
        return self.data is None and self.link is None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sealed(Value):
    """An evaluator. `scripts` are files of the repository that its command runs, as they are at the base commit."""

    files: tuple[SealedFile, ...]
    digest: str
    scripts: Mapping[str, SealedFile] = field(default_factory=dict)
    own: str = ""  # the digest without them

    def write(self, target: Path) -> None:
        """Make a private copy in the new folder `target`."""
        _write(self.files, target)

    def renew(self, target: Path) -> bool:
        """Whether `target` still is what `write` made there, whoever could write to it meanwhile: nothing changed, added, linked
        to from elsewhere or gone. Then its files are of this moment again, as new ones would be."""
        try:
            same = stat.S_IMODE(os.lstat(target).st_mode) == OURS and _as_sealed(self.files, os.fspath(target))
            for file in self.files if same else ():
                os.utime(target / file.path, follow_symlinks=False)
        except OSError:
            return False
        return same

    def agent_copy(self, target: Path, *, holdout: object = None) -> None:
        """Make the agent's copy in the new folder `target`: all but the hidden holdout that `holdout` (the spec's key) names, and
        but for that key itself."""
        hidden = _hidden(holdout)
        files = (file for file in self.files if not hidden(file.path))
        _write(tuple(_unsaid(file) if holdout and file.path in SPECS else file for file in files), target)

    def without(self, holdout: str | None) -> Sealed:
        """The same evaluator without the hidden one: what runs beside an agent's work must not find it there."""
        if holdout is None:
            return self
        hidden = _hidden(holdout)
        return replace(self, files=tuple(file for file in self.files if not hidden(file.path)))

    def with_scripts(self, scripts: Mapping[str, SealedFile]) -> Sealed:
        """This, together with the repository's own files that the benchmark command runs; they count in the digest."""
        own = self.own or self.digest
        digest = hashlib.sha256(own.encode())
        for path in sorted(scripts):
            digest.update(_fingerprint(scripts[path]))
        return replace(self, scripts=dict(scripts), digest=digest.hexdigest() if scripts else own, own=own)

    def keep(self, claim: Claim) -> None:
        """Leave a copy for people under `.orch/sealed/DIGEST/`, once per evaluator; a large one only as a list of its files."""
        folder = kept(claim.folder, self.digest)
        durable.mkdir(folder.parent, point="sealed")
        if (folder / INDEX).exists():
            return
        durable.mkdir(folder, point="sealed")
        if sum(len(file.data or b"") for file in self.files) <= KEPT:
            for file in self.files:
                _keep(folder, file)
        listing = {file.path: _fingerprint(file).rpartition(b"\0")[2].decode().strip() for file in self.files if not file.folder}
        durable.write(folder / INDEX, json.dumps(listing, indent=1).encode(), point="sealed", durable=False)

    def get(self, path: str) -> SealedFile | None:
        """The file or link at `path` (relative, with slashes)."""
        return next((file for file in self.files if file.path == path), None)


def kept(folder: Path, digest: str) -> Path:
    """Where the task folder `folder` has the copy for people of the evaluator sealed as `digest`."""
    return folder / ".orch" / "sealed" / digest[:12]


def judged(folder: Path, digest: str) -> Spec | None:
    """The spec that decided on the task, as it was sealed then; None where no copy of it can be read."""
    try:
        return specfile.read(kept(folder, digest))
    except (SpecError, OSError):
        return None


def seal(folder: Path, spec: Spec | None = None) -> Sealed:
    """Seal the task folder `folder`, all of it but `.orch`. With `spec` the digest covers, of the spec file, only what is sealed.

    Raises ClaimLost where the folder has gone, StoreError for what can't be sealed: a FIFO, a socket, a device, an unreadable
    file, more than 100 MB.
    """
    for _ in range(TRIES):
        try:
            files = tuple(_read(folder))
        except FileNotFoundError as error:
            if not folder.is_dir():
                raise ClaimLost(f"{folder} has gone while it was sealed.") from error
            continue  # a file was removed under our eyes: what is there now is what counts
        except OSError as error:
            path = error.filename or folder
            raise StoreError(f"{path} can't be read: {error.strerror}.", hint="Make it readable, or take it out.") from error
        return Sealed(files, _digest(files, spec))
    raise StoreError(f"{folder} keeps changing while it is read.", hint="Stop what writes there, then try again.")


def prints(folder: Path) -> Mapping[str, Written]:
    """The evaluator's files below a task folder as `written` tells them apart; empty where the folder has gone."""
    found: dict[str, Written] = {}
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not LITTER.match(name) and (name != ".orch" or Path(path) != folder)]
        files = (Path(path, name) for name in names if not LITTER.match(name))
        found |= {str(file.relative_to(folder)): written(file) for file in files}
    return {path: print_ for path, print_ in found.items() if path not in SPECS | LOGS}


def written(path: Path) -> Written:
    """What changes whenever somebody writes to a file of a private copy, or puts another in its place."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _read(folder: Path) -> Iterator[SealedFile]:
    size = 0
    for number, file in enumerate(_walk(folder, "")):
        size += len(file.data or b"")
        if number >= MOST:
            raise CantSeal(f"The task folder holds more than {MOST} files and can't be sealed.", hint=TAKE_OUT)
        if size > CAP:
            raise CantSeal(f"The task folder holds more than {CAP // 1024 // 1024} MB and can't be sealed.", hint=TAKE_OUT)
        yield file


def _walk(folder: Path, prefix: str) -> Iterator[SealedFile]:
    if prefix.count("/") > DEPTH:
        raise CantSeal("The task folder is nested too deeply to be sealed.", hint=TAKE_OUT)
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if LITTER.match(entry.name) or (not prefix and entry.name == ".orch"):
            continue
        status = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode) & 0o777
        path = prefix + entry.name
        if stat.S_ISDIR(status.st_mode):
            yield SealedFile(path, mode)
            yield from _walk(Path(entry.path), path + "/")
        elif stat.S_ISLNK(status.st_mode):
            yield SealedFile(path, 0o777, link=os.readlink(entry.path))  # noqa: PTH115
        elif stat.S_ISREG(status.st_mode):
            yield SealedFile(path, mode, data=_content(entry.path, status.st_size))
        else:
            raise CantSeal(f"{path} is no file, folder or link and can't be sealed.", hint=TAKE_OUT)


def _content(path: str, size: int) -> bytes:
    if size > CAP:
        raise CantSeal(f"{Path(path).name} is larger than {CAP // 1024 // 1024} MB and can't be sealed.", hint=TAKE_OUT)
    # Never through a link, and never waiting: what lies here may have been swapped for a link or a FIFO since the look.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(size + 1)  # no room for 100 MB is made for each small file
        return data if len(data) <= size else data + file.read(CAP - size)  # it has grown since the look


def _digest(files: tuple[SealedFile, ...], spec: Spec | None) -> str:
    digest = hashlib.sha256()
    for file in files:
        if not (file.folder or file.path in LOGS or (spec and file.path in SPECS)):
            digest.update(_fingerprint(file))
    if spec:
        digest.update(json.dumps(_said(spec), sort_keys=True, default=str).encode())
    return digest.hexdigest()


def judging(spec: Spec) -> dict[str, str]:
    """What of a spec decides on work, by key, in a form in which two readings of the same text are equal."""
    return {key: json.dumps(value, sort_keys=True, default=str) for key, value in _said(spec).items()}


def _said(spec: Spec) -> dict[str, Any]:
    more = (key for key in JUDGES_IF_SAID if getattr(spec, key) != getattr(specfile.UNSAID, key))
    return {key: plain(getattr(spec, key)) for key in (*JUDGES, *more)}


def _fingerprint(file: SealedFile) -> bytes:
    """What of a file counts: its path, whether it can be executed, and what is in it. Lengths keep neighbours apart."""
    kind = b"link" if file.link is not None else b"x" if file.mode & 0o111 else b"-"
    content = os.fsencode(file.link) if file.link is not None else file.data or b""
    path = os.fsencode(file.path)
    return b"%s %d\0%s\0%s\n" % (kind, len(path), path, hashlib.sha256(content).hexdigest().encode())


def _write(files: tuple[SealedFile, ...], target: Path) -> None:
    os.mkdir(target, OURS)  # noqa: PTH102 - strings throughout: this comes before most samples
    for file in files:
        path = f"{target}/{file.path}"
        if file.link is not None:
            os.symlink(file.link, path)  # noqa: PTH211
        elif file.folder:
            os.mkdir(path, OURS)  # noqa: PTH102
        else:
            _put(path, file)


def _as_sealed(files: tuple[SealedFile, ...], target: str) -> bool:
    there = Counter(file.path.rpartition("/")[0] for file in files)
    folders = ("", *(file.path for file in files if file.folder))
    alone = all(len(os.listdir(f"{target}/{folder}")) == there[folder] for folder in folders)  # noqa: PTH208
    return alone and all(_unchanged(file, f"{target}/{file.path}") for file in files)


def _unchanged(file: SealedFile, path: str) -> bool:
    status = os.lstat(path)
    if file.link is not None:
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == file.link  # noqa: PTH115
    if file.data is None:
        return stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == OURS
    same = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and stat.S_IMODE(status.st_mode) == _mode(file)
    return same and status.st_size == len(file.data) and _content(path, status.st_size) == file.data


def _mode(file: SealedFile) -> int:
    return file.mode | 0o600


def _keep(folder: Path, file: SealedFile) -> None:
    if file.folder:
        durable.mkdir(folder / file.path, point="sealed")
    elif file.data is not None:
        durable.write(folder / file.path, file.data, point="sealed", durable=False)


def _put(path: str, file: SealedFile) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.data or b"")
        os.fchmod(descriptor, _mode(file))  # after the umask, so that an executable stays one


def _unsaid(spec: SealedFile) -> SealedFile:
    """The spec without its key `holdout`, which may be a command that tells all; where it can't be taken out, without a word."""
    from orchestrator.store import editing

    try:
        text = editing.edit(specfile.LONE.sub("\n", (spec.data or b"").decode()), {"holdout": None})
    except (OrchestratorError, UnicodeDecodeError):
        text = ""
    return replace(spec, data=text.encode())


def _hidden(holdout: object) -> Callable[[str], bool]:
    """Says whether a path belongs to the hidden holdout: `holdout`, `holdout.*`, and whatever the spec's key names, however."""
    named = {word.strip("'\",[]").removeprefix("./").rstrip("/") for word in str(holdout or "").split()} - {"", "."}

    def hidden(path: str) -> bool:
        top = path.split("/", 1)[0]
        return top == "holdout" or top.startswith("holdout.") or any(f"{path}/".startswith(f"{name}/") for name in named)

    return hidden
