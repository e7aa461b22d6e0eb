"""Which file of a task folder measures it, and how a file is run."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.spec import Spec
from orchestrator.core.value import Value
from orchestrator.errors import Problem, SpecError
from orchestrator.store.specfile import careful

BENCHMARK = "benchmark"
RUNNERS = ("autoresearch.sh", ".auto/measure.sh")
CHECKS = ("checks.sh", "autoresearch.checks.sh", ".auto/checks.sh")
# The first program found is taken. A shebang goes before this table.
INTERPRETERS: dict[str, tuple[tuple[str, ...], ...]] = {
    ".sh": (("bash",), ("sh",)),
    ".bash": (("bash",),),
    ".zsh": (("zsh",),),
    ".fish": (("fish",),),
    ".py": (("python3",), ("python",)),
    ".js": (("node",), ("bun",), ("deno", "run", "-A")),
    ".mjs": (("node",), ("bun",), ("deno", "run", "-A")),
    ".cjs": (("node",), ("bun",)),
    ".ts": (("tsx",), ("bun",), ("deno", "run", "-A"), ("node", "--experimental-strip-types")),
    ".rb": (("ruby",),),
    ".pl": (("perl",),),
    ".php": (("php",),),
    ".r": (("Rscript",),),
    ".lua": (("lua",), ("luajit",)),
    ".jl": (("julia",),),
    ".tcl": (("tclsh",),),
    ".exs": (("elixir",),),
    ".go": (("go", "run"),),
}
DATA_FILES = re.compile(
    r"\.(?:md|txt|jsonl?|[ct]sv|log|toml|ya?ml|lock|bak|orig|rej|te?mp|pyc|sw[a-p]|out|old|zip|gz|html)$|~$|___jb_(?:tmp|old)___$",
    re.IGNORECASE,
)
TEMPORARY = frozenset({".tmp", ".temp"})
NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluator(Value):
    """What measures a task: a file of its folder (`path`, relative), or a shell command. `checks` is a gate's script."""

    path: str | None = None
    command: str | None = None
    checks: str | None = None


def evaluator(folder: Path | str, spec: Spec, top: Mapping[str, os.stat_result] | None = None) -> Evaluator:
    """The spec's `benchmark`, else the one `benchmark.*`, else a runner script. Raises SpecError for none, or for two.

    `top`, what lies in the folder, where the caller has listed that anyway, saves looking again.
    """
    listed = sorted(os.listdir(folder) if top is None else top)  # noqa: PTH208  # names, not paths
    checks = _checks(folder, listed)
    if spec.benchmark:
        if path := _file_named(folder, spec.benchmark):
            return Evaluator(path=path, checks=checks)
        return Evaluator(command=spec.benchmark, checks=checks)
    if path := _benchmark(folder, listed, top or {}) or _runner(folder, listed):
        return Evaluator(path=path, checks=checks)
    odd = [name for name in listed if name.partition(".")[0] == BENCHMARK]
    found = f"{odd[0]}, which is no program by its name, type or mode" if odd else "no benchmark"
    raise _problem(folder, found, "benchmark.sh, .py, .js or another program that prints `METRIC name=value`")


def holdout(folder: Path | str, spec: Spec) -> Evaluator | None:
    """The hidden benchmark that the spec names, a file of the folder or a command; None where there is none. Raises SpecError."""
    if spec.holdout is None:
        return None
    if path := _file_named(folder, spec.holdout, "holdout"):
        return Evaluator(path=path)
    return Evaluator(command=spec.holdout)


def command_for(path: Path) -> tuple[str, ...]:
    """How to run `path`: by its shebang, as a program where it is one, by its extension. Raises SpecError."""
    head, executable = _head(path)
    if head.startswith(b"#!") and (words := _shebang(head)):
        return (*_found(path, (words,)), str(path))
    if executable and head.startswith(NATIVE):
        return (str(path),)
    if known := INTERPRETERS.get(path.suffix.lower()):
        return (*_found(path, known), str(path))
    if executable and b"\x00" not in head:
        return (*_found(path, (("sh",),)), str(path))
    if executable:
        return (str(path),)
    raise _problem(
        path, "a file that is not executable and of no known type", "a `#!` line, `chmod +x`, or an extension such as .sh or .py"
    )


def _checks(folder: Path | str, names: list[str]) -> str | None:
    auto = ".auto" in names
    found = [path for path in CHECKS if path in names or (auto and path[0] == "." and os.path.lexists(f"{folder}/{path}"))]
    if len(found) > 1:
        raise _problem(folder, " and ".join(found), "one script of checks")
    if found and Path(folder, found[0]).is_symlink():
        raise _link(f"{folder}/{found[0]}")
    return found[0] if found else None


def _file_named(folder: Path | str, benchmark: str, what: str = BENCHMARK) -> str | None:
    """The file of the folder that `benchmark` names, or None where it is a command."""
    relative = os.path.normpath(benchmark.strip())
    inside = not relative.startswith(("/", "..", ".orch")) and "\x00" not in relative and len(relative) < 1024
    if inside and (path := Path(folder, relative)).is_symlink():
        raise _link(path)
    if inside and path.is_file():
        return relative
    if inside and only_a_file(benchmark):
        raise _problem(folder, f"no file {benchmark}", f"the {what} that the spec names, or a command")
    return None


def only_a_file(named: str) -> bool:
    """Whether `named` can't be meant as a command: one word with a script's extension, in no folder."""
    return os.sep not in named and not named.split()[1:] and Path(named.strip()).suffix.lower() in INTERPRETERS


def _benchmark(folder: Path | str, names: list[str], top: Mapping[str, os.stat_result]) -> str | None:
    called = [name for name in names if name.startswith(BENCHMARK) and name.partition(".")[0] == BENCHMARK]
    found = [name for name in called if _runnable(f"{folder}/{name}", name, top.get(name))]
    if len(found) > 1:
        raise _problem(folder, " and ".join(found), "one benchmark, or `benchmark:` in the spec to say which")
    return found[0] if found else None


def _runnable(path: str, name: str, status: os.stat_result | None) -> bool:
    """Whether a file called benchmark… is meant to be run: data beside it (benchmark.json) is not."""
    if DATA_FILES.search(name) or _being_written(name):
        return False
    mode = (status or os.lstat(path)).st_mode
    if stat.S_ISLNK(mode):
        raise _link(path)
    if not stat.S_ISREG(mode):
        return False
    return os.path.splitext(name)[1].lower() in INTERPRETERS or bool(mode & 0o111) or _head(path)[0].startswith(b"#!")  # noqa: PTH122


def _being_written(name: str) -> bool:
    """Whether a script is called so until it is complete (`benchmark.sh.tmp.1234`): it counts by its own name only."""
    parts = [f".{part}" for part in name.lower().split(".")[1:]]
    return any(part in INTERPRETERS or part in TEMPORARY for part in parts[:-1]) and parts[-1] not in INTERPRETERS


def _runner(folder: Path | str, names: list[str]) -> str | None:
    for runner in RUNNERS:
        if runner in names or (".auto" in names and "/" in runner):
            path = Path(folder, runner)
            if path.is_symlink():
                raise _link(path)
            if path.is_file():
                return runner
    return None


def _head(path: Path | str) -> tuple[bytes, bool]:
    """The file's first bytes, and whether it is executable."""
    try:
        with open(path, "rb", opener=careful) as file:  # Path.open takes no opener
            return file.read(256), bool(os.fstat(file.fileno()).st_mode & 0o111)
    except OSError as error:
        raise _problem(path, (error.strerror or "an error").lower(), "a benchmark that can be read") from None


def _shebang(head: bytes) -> tuple[str, ...]:
    """The words of a `#!` line as the kernel and `env -S` would split them."""
    line = head[2:].split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    program, _, rest = line.partition(" ")
    rest = rest.strip()
    if Path(program).name == "env":
        words = rest.removeprefix("-S").split()
        return (program, *words) if any("=" in word or word.startswith("-") for word in words[:1]) else tuple(words)
    return tuple(part for part in (program, rest) if part)


def _found(path: Path, choices: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The first of these command lines whose program exists here."""
    for words in choices:
        if program := _which(words[0]):
            return (program, *words[1:])
    wanted = " or ".join(dict.fromkeys(words[0] for words in choices))
    raise _problem(path, f"no program {wanted} on this machine", f"{wanted} installed and on PATH, which {path.name} is run by")


def _which(program: str) -> str | None:
    if "/" in program:
        return program if os.access(program, os.X_OK) else _which(Path(program).name)
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = os.path.join(place or ".", program)  # noqa: PTH118  # called for each choice and folder; Path costs more than the look-up
        if os.access(candidate, os.X_OK) and not Path(candidate).is_dir():
            return candidate
    return None


def _link(path: Path | str) -> SpecError:
    return _problem(path, "a symbolic link", "a file: the sealed copy of the folder would not contain what it points to")


def _problem(path: Path | str, found: str, expected: str) -> SpecError:
    return SpecError((Problem(Path(path), 0, 0, found, expected),))
