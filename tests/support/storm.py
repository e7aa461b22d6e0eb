"""Many tasks on one repository, and somebody who kills whatever works on them.

What is on main is green or not: nobody sits on another's seat, and every shelf counts its own names right. Two tasks that
began at one commit choose the same seat, which merges cleanly and is wrong; two that stand on one shelf change the same
lines. So a commit that nobody tested, or tested on another base, is red.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from orchestrator.proc import identity
from support.project import Project

CHECK = """#!/bin/sh
# green: at each table no seat is taken twice, on each shelf stand as many names as it says. All by the shell itself: a program
# that is killed for it would have said nothing, as where nobody sits on another's seat
for table in seats/*; do
    taken=" "
    for each in "$table"/task-*; do
        [ -s "$each" ] && read -r seat < "$each" || continue
        case "$taken" in *" $seat "*) echo "a seat at $table is taken twice"; exit 1 ;; esac
        taken="$taken$seat "
    done
done
for shelf in shelves/*; do
    [ -e "$shelf" ] || continue
    names=0
    { read -r said; while read -r name; do [ "$name" = "${name#task-}" ] || names=$((names + 1)); done; } < "$shelf"
    [ "$said" = $names ] || { echo "$shelf is wrong"; exit 1; }
done
"""
BENCHMARK = """#!/bin/sh
# how much of what this task wants is not there
left=0
{check}[ -s seats/{table}/{name} ] || left=1
{shelf}echo "METRIC left=$left"
"""
ON_SHELF = "grep -qx {name} shelves/{shelf} || left=$((left + 1))\n"
SESSION = """
top="{top}"; me=$ORCH_TASK; number=${{me#task-}}; table=$((number / 4)); shelf=shelves/$((number / 4))
exec 9> "$top/agents/$me"; flock -n -E 7 9; [ $? != 7 ] || echo "$me" >> "$top/overlaps"  # it may be killed itself
note() {{ git rev-parse HEAD >> "$top/commits"; }}
mkdir -p seats/$table shelves drafts; mine=seats/$table/$me
taken=$(for each in seats/$table/task-*; do [ "$each" = $mine ] || cat "$each" 2> /dev/null; done)
seat=1; while echo "$taken" | grep -qx $seat; do seat=$((seat + 1)); done
echo $seat > $mine; git add $mine; git commit -q -m "$me sits down ($$)"; note
echo "draft of $$ at attempt $ORCH_ATTEMPT" > drafts/$me; git hash-object drafts/$me >> "$top/drafts"
if [ $((number % 4)) -lt 2 ]; then
    names=$({{ grep '^task-' $shelf; echo $me; }} | sort -u)
    {{ echo "$names" | grep -c .; echo "$names"; }} > "$top/agents/$me.new" && mv "$top/agents/$me.new" $shelf; git add $shelf; git commit -q -m "$me stands on a shelf ($$)"; note
fi
"""
QUICK = {
    "ORCH_BACKOFF": "50ms",
    "ORCH_BACKOFF_MAX": "500ms",
    "ORCH_SETTLE": "1ms",
    "ORCH_STOP_GRACE": "200ms",
    "ORCH_CONVERGE": "2",
    "ORCH_KEEP_CONVERGED": "0",
    "ORCH_VERIFY_CMD": "sh check.sh",
}
# What a person puts back: a benchmark that was killed on the base is a defect, two samples that were killed are flaky, and two
# agents that were killed while they resolved a conflict had their tries.
OF_KILLS = frozenset({"benchmark-defect", "flaky", "conflict"})
PATIENCE = 120.0  # seconds without a kill or a converged task after which something hangs
LOOK = 0.003
LONGEST = 8  # looks until the next kill, and then for what is to be killed
AHEAD = 6  # tasks that have not converged yet
FIRST = 12  # no number with a zero in front, which the shell would take for octal


class Kind(StrEnum):
    LOOP = "loop"
    NURSERY = "nursery"
    WORKER = "worker"
    AGENT = "agent"
    BENCHMARK = "benchmark"  # or a gate
    GIT = "git"


@dataclass(frozen=True, slots=True)
class Target:
    pid: int
    start: float
    kind: Kind
    words: str


class Storm:
    def __init__(self, top: Path, *, tasks: int, kills: int, seed: int) -> None:
        self.project = Project(top)
        self.project.fresh = True
        self.project.env |= QUICK
        self.project.agent(SESSION.format(top=top))
        self.top = top
        self.tasks = tasks  # about so many
        self.names: list[str] = []
        self.kills = kills
        self.killed: Counter[Kind] = Counter()
        self.put_back: Counter[str] = Counter()
        self.chance = random.Random(seed)
        self.loops: list[subprocess.Popen[str]] = []
        self.others = frozenset(_pids())  # that were there before

    def prepare(self) -> None:
        """The repository, before anything is started."""
        (self.top / "agents").mkdir()
        self.project.make_repo({"check.sh": CHECK})

    def rage(self) -> None:
        """Kill until all kills are done. There are always tasks to hit, and kills wait for tasks that converge: else either
        were over before the others had begun."""
        progress, last = (0, 0), time.monotonic()
        wanted, looks = self._next()
        while self.done < self.kills:
            self._tend()
            now = (self.done, self.converged())
            progress, last = (now, time.monotonic()) if now != progress else (progress, last)
            assert time.monotonic() - last < PATIENCE, f"nothing goes on: {self}\n{self.project.story()}"
            looks -= 1
            if looks < 0 and self._may_kill() and (self._kill(wanted) or looks < -LONGEST):
                wanted, looks = self._next()
            time.sleep(LOOK)

    def finish(self) -> None:
        """The loops die too, and then one drain goes on from whatever lies there; a person puts back what was killed."""
        for loop in self.loops:
            loop.kill()
            loop.wait()
        for _ in range(5):
            code = self._drain()
            if code != 1:
                break
            self._unblock()
        assert code == 0, f"the last drain ended with {code}: {self}\n{self.project.story()}"

    def _drain(self) -> int:
        drain = self.project.start("--parallel", "4")
        try:
            return drain.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the last drain hangs: {self}\n{[*self.targets()]}\n{self.project.story()}") from None

    @property
    def done(self) -> int:
        """How many were killed."""
        return self.killed.total()

    def converged(self) -> int:
        return len(list((self.project.tasks / "converged").glob("*")))

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.killed.items()))
        return f"{self.converged()} of {len(self.names)} converged, killed {killed}, put back {dict(self.put_back)}"

    def _next(self) -> tuple[Kind, int]:
        """What to kill next, each kind about as often as the others, and after how many looks."""
        wanted = min(self.chance.sample(list(Kind), 3), key=lambda kind: self.killed[kind])
        return wanted, self.chance.randrange(LONGEST)

    def _may_kill(self) -> bool:
        """Whether as much has converged as should have by now."""
        return self.done * self.tasks / self.kills < self.converged() + AHEAD

    def _drop(self) -> None:
        """Another task."""
        number = FIRST + len(self.names)
        name = f"task-{number}"
        check = "sh check.sh || left=9\n" if number % 2 else ""  # else the verify command alone tells
        shelf = ON_SHELF.format(name=name, shelf=number // 4) if number % 4 < 2 else ""
        benchmark = BENCHMARK.format(check=check, name=name, table=number // 4, shelf=shelf)
        self.project.drop(name, front="max_failures: 1000", benchmark=benchmark)
        self.names.append(name)

    def _tend(self) -> None:
        """What a person does: drop tasks, start a loop where none is left, sometimes a second one, and put back what was
        blocked by a kill."""
        while len(self.names) < self.converged() + AHEAD:
            self._drop()
        self.loops = [loop for loop in self.loops if loop.poll() is None]
        if not self.loops or (len(self.loops) == 1 and self.chance.random() < 0.002):
            self.loops.append(self.project.start("--loop", "--parallel", self.chance.choice("345")))
        self._unblock()

    def _unblock(self) -> None:
        for folder in sorted((self.project.tasks / "blocked").glob("*")):
            record = self.project.record(folder.name)
            assert record["reason"] in OF_KILLS, (
                f"{folder.name}: {record['reason']}, {record['detail']}\n{self}\n{self.project.story()}"
            )
            self.put_back[record["reason"]] += 1
            folder.rename(self.project.tasks / "pending" / folder.name)

    def _kill(self, wanted: Kind) -> bool:
        found = [target for target in self.targets() if target.kind is wanted]
        if not found or not kill(chosen := self.chance.choice(found)):
            return False
        self.killed[wanted] += 1
        with (self.top / "kills").open("a") as log:  # to read what happened
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {chosen}\n")
        return True

    def targets(self) -> Iterator[Target]:
        """Every living process that works on this queue: it carries its path."""
        mark = f"ORCH_TASKS={self.project.tasks}".encode()
        return filter(None, (_target(Path("/proc", name), mark) for name in _pids() if name not in self.others))


def _pids() -> Iterator[str]:
    return (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _target(entry: Path, mark: bytes) -> Target | None:
    try:
        start = identity.started(int(entry.name))
        environ = (entry / "environ").read_bytes().split(b"\0")
        if start is None or mark not in environ:
            return None
        name, words = (entry / "comm").read_text(errors="replace"), (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    told = os.fsdecode(b" ".join(words))[:120]
    return Target(int(entry.name), start, _kind(name, words, environ), told)


def _kind(name: str, words: list[bytes], environ: list[bytes]) -> Kind:
    if name.startswith("git"):
        return Kind.GIT
    if any(line.startswith(b"ORCH_PROMPT_FILE=") for line in environ):
        return Kind.AGENT
    if any(line.startswith(b"ORCH_WORKTREE=") for line in environ):
        return Kind.BENCHMARK
    if name.startswith("orch ") or b"work" in words:
        return Kind.WORKER
    return Kind.NURSERY if b"nursery" in words else Kind.LOOP


def kill(target: Target) -> bool:
    """SIGKILL to exactly this process; whether it still lived."""
    try:
        handle = os.pidfd_open(target.pid)
    except OSError:
        return False
    try:
        if identity.started(target.pid) != target.start:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
