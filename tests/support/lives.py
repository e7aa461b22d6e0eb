"""Whole lives of one task, each a short story: what the agent does, which commands a person gives, and how it has to end.

Every session of an agent leaves a commit of its own and a draft that it did not commit, and notes both outside, so that a
test can ask for all of them afterwards. What happens once in a life (the base moves, somebody presses Ctrl-C) is
remembered outside too: a session that comes again after a crash finds it done.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.project import Project
from support.trackers import Forge

NAME = "x"
KILLED = -signal.SIGKILL
INTERRUPTED = (130, -signal.SIGINT)  # the latter while the interpreter still starts
TODO = "one\ntwo\nthree"
FILES = {"todo.txt": f"{TODO}\n", "README": "a repository\n", "notes.txt": "notes\n", ".gitignore": "built\n"}
OWNERS = {"notes.txt": "notes\nof a person, uncommitted\n", "scratch.txt": "untracked\n"}  # lying around in the checkout
DIRTY = " M notes.txt\n?? scratch.txt"  # and what git says of it
QUICK = {"ORCH_BACKOFF": "50ms", "ORCH_SETTLE": "1ms", "ORCH_CONVERGE": "1", "ORCH_STOP_GRACE": "200ms"}

SESSION = """
top="{top}"; repo="{repo}"; tasks="{tasks}"
until loop=$(grep . "$top/pid" 2> /dev/null); do sleep 0.01; done  # whoever started the loop writes that down while it begins
once() {{ mkdir "$top/once-$1" 2> /dev/null; }}
exec 9> "$top/agent.lock"; flock -n 9 || echo "$ORCH_ATTEMPT" >> "$top/overlaps"
tries=0  # whoever kills or moves things waits until our worker has written down who we are: else its steps vary
until grep -qs '"pid": '$$ "$tasks"/running/*/.orch/lease.json || [ $tries = 200 ]; do sleep 0.01; tries=$((tries + 1)); done
echo agent >> "$top/trace"
echo "$ORCH_ATTEMPT" >> "$top/sessions"; n=$(grep -c . "$top/sessions")
echo "work $n" > work.txt; git add work.txt; git commit -q -m "session $n"; git rev-parse HEAD >> "$top/commits"
echo "draft $n" > draft.txt; git hash-object draft.txt >> "$top/drafts"
{act}
"""
DONE = ": > todo.txt"
HANG = "while kill -0 $loop; do sleep 0.02; done"  # until whoever was asked to stop has gone: a Ctrl-C may die with its loop
COUNT = '#!/bin/sh\necho benchmark >> {top}/trace\n{first}echo "METRIC left=$(grep -c . todo.txt)"\n'
MOVE_BASE = 'once moved && (cd "$repo" && {change}; echo more > other.txt && git add other.txt {file} && git commit -q -m moved)'
JUDGED = """gates:
  judge:
    command: |
      top=$ORCH_TASKS/..; {first} test -e gate.txt && verdict=pass || {{ verdict=fail; touch $top/refused; }}
      echo "{{\\"verdict\\": \\"$verdict\\", \\"summary\\": \\"so\\", \\"evidence\\": [{{\\"file\\": \\"todo.txt\\", \\"says\\": \\"so\\"}}]}}"
"""

Step = Callable[["Run"], None]
Mark = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Life:
    """`since` and `until`: which `agent`, `benchmark` or failpoint of the trace begins and ends what this life has of its own.
    `attempts` are counted if nothing is killed; a kill loses at most the one in flight."""

    name: str
    act: str = DONE
    front: str = ""
    benchmark: str = COUNT.replace("{first}", "")
    steps: tuple[Step, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    since: Mark = ("agent", 1)
    until: Mark = ("end", 1)
    state: str = "converged"
    reason: str = "converged"
    attempts: int = 1
    merges: int = 1
    todo: str = ""
    proposed: bool = False  # a pull request for it is open in the end
    health: str = ""  # what the base was found to be in the end: green or red
    undone: bool = False  # whether a person took it back afterwards
    moved: bool = False  # whether somebody else's commit is on the base in the end
    parts: int = 1
    every: bool = False  # of its own points all are tried, and not just the facts


class Run:
    """One run of a life in a project. A command that was killed is given again, as a person would, without failpoints."""

    def __init__(self, life: Life, top: Path) -> None:
        self.life = life
        self.top = top
        self.project = Project(top)
        self.project.env.update(QUICK, ORCH_FAILPOINT_TRACE=str(top / "trace"))
        self.project.env.update({key: value.format(top=top) for key, value in life.env.items()})
        self.project.agent(SESSION.format(top=top, repo=self.project.repo, tasks=self.project.tasks, act=life.act))
        self.kills = 0  # commands that died; a worker's death is seen in the trace only
        self.failpoint = ""

    def prepare(self) -> None:
        """What lies there before anybody starts anything. Needs the repository."""
        (self.project.tasks / "pending").mkdir(parents=True)
        for name, text in OWNERS.items():
            (self.project.repo / name).write_text(text)
        if self.life.proposed:
            self.make_forge()
        self.project.drop(NAME, front=self.life.front, benchmark=self.life.benchmark.format(top=self.top))

    @property
    def forge(self) -> Forge:
        return Forge(self.top / "forge", self.top / "remote.git")

    def make_forge(self) -> None:
        """A remote, and the programs that open pull requests there."""
        self.project.git("init", "-q", "--bare", "-b", "main", str(self.forge.remote))
        self.project.git("remote", "add", "origin", str(self.forge.remote))
        self.project.git("push", "-q", "origin", "main")
        self.forge.install()
        self.project.env |= {**self.forge.env(), "ORCH_TRACKER": "github"}

    def live(self, failpoint: str = "") -> None:
        """From the drop to the end, with a SIGKILL at each point of `failpoint`."""
        self.failpoint = failpoint
        for step in self.life.steps or (drain(0),):
            step(self)

    def command(self, *args: str, codes: tuple[int, ...]) -> int:
        """Run a command of ours until it ends by itself, with one of `codes`."""
        for _ in range(4):
            armed = {"ORCH_FAILPOINT": self.failpoint} if self.failpoint and not self.kills else {}
            (self.top / "pid").unlink(missing_ok=True)  # of the one before: its number may be another's by now
            process = self.project.start(*args, **armed)
            (self.top / "pid").write_text(str(process.pid))
            code = process.wait(120)
            if code == KILLED:
                self.kills += 1
            elif code in codes:
                return code
            else:
                break
        raise AssertionError(f"{args} ended with {code}\n{self.project.story()}")

    def trace(self) -> list[str]:
        """What happened in order: failpoints, and where the agent and the benchmark ran."""
        return (self.top / "trace").read_text().split()


def drain(*codes: int) -> Step:
    """Start it and let it end by itself."""

    def step(run: Run) -> None:
        run.command(codes=codes)

    return step


def command(*args: str) -> Step:
    """Give a command that has to succeed."""

    def step(run: Run) -> None:
        run.command(*args, codes=(0,))

    return step


def answer(verb: str, *args: str) -> Step:
    """Give a person's word, once. A kill may have come after it was written down, or before: then the next loop puts the
    task back, and it asks again."""

    def step(run: Run) -> None:
        kills = run.kills
        while run.command(verb, NAME, *args, codes=(0, 1)):
            assert run.kills > kills, run.project.story()
            if run.project.record(NAME)["review"]["answer"]:
                return
            run.command(codes=(75,))

    return step


def again(run: Run) -> None:
    """Start it until it isn't interrupted: after a kill, the Ctrl-C may come later in the story."""
    while run.command(codes=(0, *INTERRUPTED)):
        pass


def unblock(run: Run) -> None:
    """A person moves the folder from blocked to pending, if it is there."""
    for folder in (run.project.tasks / "blocked").iterdir():
        folder.rename(run.project.tasks / "pending" / folder.name)


def in_the_way(run: Run) -> None:
    (run.project.repo / "new.txt").write_text("not tracked, not to be overwritten\n")


def clear_the_way(run: Run) -> None:
    (run.project.repo / "new.txt").rename(run.top / "new.txt")


def reviewed(run: Run) -> None:
    """Somebody who may says something about the pull request."""
    review = {"id": "r1", "state": "CHANGES_REQUESTED", "body": "More.", "authorAssociation": "OWNER"}
    run.forge.change(1, reviews=[review])


LIVES = (
    Life(
        "lands",
        front="setup: touch built",
        benchmark=COUNT.replace("{first}", "test -e built || exit 1\n"),
        since=("start", 0),
        parts=4,
    ),
    Life(
        "base-moved",
        act=f"{DONE}; {MOVE_BASE.format(change=':', file='')}",
        since=("benchmark", 3),
        until=("release:after", 1),
        moved=True,
    ),
    Life(
        "conflict",  # the second session resolves it
        act=f"{DONE}; {MOVE_BASE.format(change='echo four >> todo.txt', file='todo.txt')}",
        since=("benchmark", 3),
        until=("benchmark", 5),
        attempts=2,
        moved=True,
        parts=2,
    ),
    Life(
        "conflict-stays",  # nobody resolves it, and the verified work is on its branch in the end
        act=f"grep -q '^<<<<<<<' todo.txt || {{ {DONE}; {MOVE_BASE.format(change='echo four >> todo.txt', file='todo.txt')}; }}",
        steps=(drain(1),),
        since=("agent", 2),
        until=("release:after", 1),
        state="blocked",
        reason="conflict",
        attempts=3,
        merges=0,
        moved=True,
        todo=f"{TODO}\nfour",
    ),
    Life(
        "merge-fails",
        act=f'{DONE}; {MOVE_BASE.format(change=":", file="")}; [ ! -e "$top/refused" ] || touch gate.txt',
        env={"ORCH_VERIFY_CMD": "test ! -e other.txt || test -e gate.txt || ! touch {top}/refused"},
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
        moved=True,
    ),
    Life(
        "out-of-scope",
        act=f"{DONE}; echo mine >> README",
        front="scope: [todo.txt, work.txt, draft.txt]\nmax_failures: 2",
        steps=(drain(1),),
        since=("agent", 2),
        state="blocked",
        reason="scope-violation",
        attempts=2,
        merges=0,
        todo=TODO,
    ),
    Life(
        "gate-fails",
        act=f'{DONE}; [ ! -e "$top/refused" ] || touch gate.txt',
        env={"ORCH_VERIFY_CMD": "test -e gate.txt || ! touch {top}/refused"},
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
    ),
    Life(
        "reviewed",
        front="review: required",
        steps=(drain(75), answer("approve"), drain(0)),
        since=("benchmark", 3),
        until=("benchmark", 5),
    ),
    Life(
        "sent-back",
        act=f'{DONE}; echo "work $n" > note.txt',
        front="review: required",
        steps=(drain(75), answer("reject", "--note", "again"), drain(75), answer("approve"), drain(0)),
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
    ),
    Life(
        "gated",
        front="gates: {test: 'echo not ok 1 known; false', lint: 'echo README:1: known; false', doctor: 'test -z $ORCH_CANARY'}",
        since=("benchmark", 3),
        until=("release:after", 1),
    ),
    Life(  # the first session misses what it can't see, the second one doesn't
        "hidden-check",
        act=f'{DONE}; [ ! -e "$top/refused" ] || touch gate.txt',
        front="holdout: 'test -e gate.txt && echo METRIC left=0 || ! touch $ORCH_TASKS/../refused'",
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
        every=True,
    ),
    Life(  # it holds on the branch, and not together with what came onto the base
        "hidden-check-of-the-merge",
        act=f'{DONE}; {MOVE_BASE.format(change=":", file="")}; [ ! -e "$top/refused" ] || touch gate.txt',
        front="holdout: 'test ! -e other.txt || test -e gate.txt && echo METRIC left=0 || ! touch $ORCH_TASKS/../refused'",
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
        moved=True,
    ),
    Life(
        "judged",
        act=f'{DONE}; [ ! -e "$top/refused" ] || touch gate.txt',
        front=JUDGED.format(first=""),
        since=("benchmark", 3),
        until=("agent", 2),
        attempts=2,
        every=True,
    ),
    Life(
        "judge-s-worker-dies",
        front=JUDGED.format(first="mkdir $top/once-died && kill -9 $PPID && sleep 600; touch gate.txt;"),
        since=("benchmark", 3),
        until=("benchmark", 4),
    ),
    Life(
        "defect",
        benchmark="#!/bin/sh\necho benchmark >> {top}/trace\necho nothing to see\n",
        steps=(drain(1),),
        since=("benchmark", 1),
        state="blocked",
        reason="benchmark-defect",
        attempts=0,
        merges=0,
        todo=TODO,
    ),
    Life(
        "interrupted",
        act=f"once asked && {{ kill -INT $loop; {HANG}; }}; {DONE}",
        steps=(drain(0, *INTERRUPTED), again),
        until=("agent", 2),
    ),
    Life(
        "in-the-way",
        act=f"{DONE}; echo new > new.txt",
        env={"ORCH_BACKOFF": "100s"},
        steps=(in_the_way, drain(75), clear_the_way, command("retry", NAME), drain(0)),
        since=("benchmark", 3),
        until=("benchmark", 4),
    ),
    Life(
        "moved-by-hand",
        act=f'once taken && {{ mv "$tasks"/running/{NAME}.* "$tasks/blocked/"; {HANG}; }}; {DONE}',
        steps=(drain(0, 1), unblock, drain(0)),
        until=("agent", 2),
    ),
    Life("worker-dies", act=f"once died && {{ kill -9 $PPID; {HANG}; }}; {DONE}", until=("agent", 2)),
    Life("agent-dies", act=f"once died && kill -9 $$; {DONE}", attempts=2, until=("agent", 2)),
    Life(
        "at-target-already",
        benchmark=COUNT.replace("{first}", "").replace("todo.txt", "/dev/null"),
        since=("benchmark", 1),
        until=("release:after", 1),
        attempts=0,
        merges=0,
        todo=TODO,
    ),
    Life(
        "undone",
        env={"ORCH_VERIFY_CMD": "test -e README"},
        steps=(drain(0), command("undo", NAME)),
        since=("release:after", 1),
        undone=True,
        todo=TODO,
    ),
    Life(
        "looked-at",
        env={"ORCH_INTEGRATION_CMD": "test -e work.txt"},
        since=("land.update-ref:after", 1),
        until=("release:after", 1),
        health="green",
    ),
    Life(
        "looked-at-and-red",
        env={"ORCH_INTEGRATION_CMD": "test ! -e work.txt"},
        since=("land.update-ref:after", 1),
        until=("release:after", 1),
        health="red",
    ),
    Life(
        "proposed",
        front="land: pr",
        since=("benchmark", 3),
        until=("release:after", 1),
        merges=0,
        proposed=True,
        todo=TODO,
    ),
    Life(
        "answered",
        front="land: pr",
        steps=(drain(0), reviewed, command("pulls"), drain(0)),
        since=("release:after", 1),
        until=("agent", 2),
        attempts=2,
        merges=0,
        proposed=True,
        todo=TODO,
    ),
    Life(
        "optimizes",  # the first session is better and stays, the second one is worse and leaves, then the best lands
        act='[ "$ORCH_ATTEMPT" = 1 ] && echo one > todo.txt || echo more >> todo.txt',
        front="mode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}",
        until=("release:after", 1),
        attempts=2,
        todo="one",
        parts=2,
    ),
    Life(
        "optimizes-by-pairs",  # from the first attempt's own sample on: a second checkout, eight pairs, four more
        act='[ "$ORCH_ATTEMPT" = 1 ] && echo one > todo.txt || echo more >> todo.txt',
        front="mode: optimize\nplateau: 1\nmetric: {name: left, kind: noisy}",
        since=("benchmark", 6),
        until=("agent", 2),
        attempts=2,
        todo="one",
    ),
    Life("kept-on-its-branch", front="land: branch", since=("benchmark", 3), until=("release:after", 1), merges=0, todo=TODO),
)


def by_name(name: str) -> Life:
    return next(life for life in LIVES if life.name == name)
