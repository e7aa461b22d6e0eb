"""Scripts of a task's folder that were most likely meant to be run, and aren't: by their name, or by where a command looks."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.core.spec import MEANT, Spec
from orchestrator.store import layouts
from orchestrator.store.specfile import careful

NEARLY_CHECKS = re.compile(r"(?:autoresearch\.)?checks?(?:\.(?:sh|bash|py|js|ts|rb|pl))?", re.IGNORECASE)
LONGEST_SCRIPT = 1 << 18  # bytes of one that are looked at


def warnings(folder: str, top: Mapping[str, os.stat_result], spec: Spec) -> Iterator[str]:
    """One sentence for each. `top` is what lies in the folder. A gate isn't even given `ORCH_TASK_DIR`."""
    if name := _misnamed(folder, top, spec):
        yield f"Nothing here runs `{name}`: a script of checks is known by its name.{MEANT.format('checks.sh')}"
    for command in filter(None, (spec.benchmark, spec.holdout)):
        if (name := _beside(top, command)) and command.strip().removeprefix("./") != name:
            yield f"`{command.strip()}` is run in the worktree, and `{name}` lies here.{MEANT.format(f'$ORCH_TASK_DIR/{name}')}"
    for gate in spec.gates:
        if gate.asked and gate.command and (name := _beside(top, gate.command.replace("$ORCH_TASK_DIR/", ""))):
            yield f"The gate {gate.name} is run in the worktree, and `{name}` lies here.{MEANT.format('checks.sh')}"


def _misnamed(folder: str, top: Mapping[str, os.stat_result], spec: Spec) -> str | None:
    """A script that was most likely meant as the one of checks, that nothing runs: `check.sh`, `checks.py`."""
    near = sorted(name for name in top if NEARLY_CHECKS.fullmatch(name) and stat.S_ISREG(top[name].st_mode))
    if not near or ".auto" in top or not top.keys().isdisjoint(layouts.CHECKS):
        return None
    said = "\n".join(filter(None, (spec.benchmark, spec.holdout, *(gate.command for gate in spec.gates))))
    scripts = (name for name in top if not layouts.DATA_FILES.search(name) and stat.S_ISREG(top[name].st_mode))
    texts = {name: _text(f"{folder}/{name}") for name in scripts}
    return next((name for name in near if not _runs(name, [said, *(texts[other] for other in texts if other != name)])), None)


def _runs(name: str, texts: Iterable[str]) -> bool:
    """Whether one of these most likely runs a script, or has it as a module: `import checks` of `checks.py`."""
    stem = re.escape(name.partition(".")[0])
    named = re.compile(rf"{re.escape(name)}|(?:import |from |[/'\"]){stem}\b")
    return any(map(named.search, texts))


def _beside(top: Mapping[str, os.stat_result], command: str) -> str | None:
    """The script of the folder that a command names as if it began there, and goes nowhere else before."""
    words = [word.strip("'\"").removeprefix("./") for word in command.split()]
    scripts = (word for word in words if word in top and layouts.only_a_file(word) and stat.S_ISREG(top[word].st_mode))
    return None if "cd" in words else next(scripts, None)


def _text(path: str) -> str:
    """What a script says; nothing of one that can't be read."""
    try:
        with open(path, "rb", opener=careful) as file:
            return file.read(LONGEST_SCRIPT).decode(errors="replace")
    except OSError:
        return ""
