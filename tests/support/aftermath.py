"""What has to hold once a life is over, whatever was killed on its way. Each check says in words what went wrong."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.store import integrations
from orchestrator.store.queue import Queue
from support.lives import DIRTY, FILES, NAME, OWNERS, Run

SCRATCH = ("*.tmp", "orchestrator-index*", "orchestrator-undo*")
NO_FILES = ("-c", "core.commitGraph=false", "-c", "core.multiPackIndex=false")  # there are none; each is looked for by a process
SELF_LOCKED = "orchestrator/"  # our own lock files stay; they are locked by the kernel, not by being there


def wrongs(run: Run, *, killed: bool) -> list[str]:
    """Everything that is not as it should be; nothing, after a life that went well or recovered."""
    return [*_task(run, killed=killed), *_work(run), *_base(run), *_proposed(run), *_health(run), *_checkout(run), *_left(run)]


def _proposed(run: Run) -> list[str]:
    """There is one pull request, of the commit that the record names, and nothing else was pushed."""
    if not run.life.proposed:
        return []
    landed = run.project.record(NAME)["landed"] or {}
    pulls = [(pull["state"], pull["url"]) for pull in run.forge.pulls]
    found = [] if pulls == [("open", landed.get("url"))] else [f"pull requests {pulls}, landed {landed}"]
    refs = dict(reversed(line.split("\t")) for line in run.project.git("ls-remote", str(run.forge.remote)).splitlines())
    if {**refs, "HEAD": ""} != {"HEAD": "", "refs/heads/main": refs["HEAD"], "refs/heads/orchestrator/x": landed.get("commit")}:
        found.append(f"the remote has {refs}, landed {landed}")
    return found


def _health(run: Run) -> list[str]:
    """What the base is was found out for its tip, and nothing else is said of it."""
    if not run.life.health:
        return []
    tip, ref = run.project.git("rev-parse", "main"), "refs/orchestrator-meta/integrated/main"
    green = run.project.git("for-each-ref", "--format=%(objectname)", ref)
    red = [fact.commit for fact in integrations.every(Queue(run.project.tasks))]
    wanted = (tip, []) if run.life.health == "green" else ("", [tip])
    return [] if (green, red) == wanted else [f"main is at {tip}, seen green at {green}, red at {red}"]


def _task(run: Run, *, killed: bool) -> list[str]:
    """The task is in one place, in the state the story ends in, and counted what was judged, once."""
    life, project = run.life, run.project
    places = [f"{state.name}/{path.name}" for state in _states(project.tasks) for path in state.iterdir()]
    if places != [f"{life.state}/{NAME}"]:
        return [f"the task should be in {life.state} only: {places}"]
    folder, record = project.tasks / life.state / NAME, project.record(NAME)
    found = [] if record["reason"] == life.reason else [f"reason {record['reason']} ({record['detail']})"]
    lost = life.state == "converged" and life.attempts and killed  # work that was in flight may have landed as found
    if record["attempts"] not in ((life.attempts, life.attempts - 1) if lost else (life.attempts,)):
        found.append(f"{record['attempts']} attempts counted instead of {life.attempts}: {record['history']}")
    numbers = [attempt["number"] for attempt in record["history"]]
    if numbers != list(range(1, record["attempts"] + 1)):
        found.append(f"attempts numbered {numbers}")
    if len(numbers) > len(_lines(run.top / "sessions")):
        found.append("more attempts than sessions")
    if record["intent"]:
        found.append(f"an intent was left: {record['intent']}")
    for copy in (folder / "benchmark.sh", *folder.glob(".orch/sealed/*/benchmark.sh")):
        if copy.read_text() != life.benchmark.format(top=run.top):
            found.append(f"{copy} is not as it was")
    return found


def _work(run: Run) -> list[str]:
    """Every commit that an agent made and every draft it left is reachable, every counted attempt has its ref."""
    git = run.project.git
    kept = set(git("rev-list", "--all", "--objects", "--no-object-names").split())
    found = [f"commit {commit} is lost" for commit in _lines(run.top / "commits") if commit not in kept]
    found += [f"draft {blob} is lost" for blob in _lines(run.top / "drafts") if blob not in kept]
    refs = git("for-each-ref", "--format=%(objectname) %(refname)", f"refs/orchestrator/{NAME}/").split()
    for attempt in run.project.record(NAME)["history"]:
        if attempt["commit"] not in refs:
            found.append(f"attempt {attempt['number']} has no ref: {refs}")
    if (run.top / "overlaps").exists():
        found.append("two agents ran at once")
    return found


def _base(run: Run) -> list[str]:
    """Main has the work once, by one merge of ours, or not at all."""
    git, life = run.project.git, run.life
    found = [] if git("show", "main:todo.txt") == life.todo else ["todo.txt on main is wrong: " + git("show", "main:todo.txt")]
    listed = set(git("ls-tree", "-r", "--name-only", "main").split())
    wanted = (
        set(FILES)
        | ({"other.txt"} if life.moved else set())
        | ({"work.txt", "draft.txt"} if life.merges and not life.undone else set())
    )
    if not wanted <= listed:
        found.append(f"main lacks {wanted - listed}")
    merges = git("rev-list", "--first-parent", "--merges", "main").split()
    if len(merges) != life.merges:
        found.append(f"{len(merges)} merges on main: " + git("log", "--oneline", "--graph", "main"))
    landed = run.project.record(NAME)["landed"]
    if (landed or {}).get("undone") != (git("rev-parse", "main") if life.undone else None):
        found.append(f"whether it was undone is told wrongly: {landed}")
    if merges and (landed or {}).get("commit") != merges[0]:
        found.append(f"landed says {landed}, main has {merges}")
    return found


def _checkout(run: Run) -> list[str]:
    """The checkout of main agrees with main, but for what its owner has uncommitted, and nothing of git's was left half done."""
    git = run.project.git
    found = []
    if (status := git("status", "--porcelain")) != DIRTY:
        found.append(f"the checkout is not as its owner left it: {status}")
    for name, text in OWNERS.items():
        if (run.project.repo / name).read_text() != text:
            found.append(f"{name} of the owner was changed")
    common = run.project.repo / ".git"
    if (common / "HEAD").read_text() != "ref: refs/heads/main\n" or (common / "refs/stash").exists():
        found.append("HEAD or the stash are not as they were")
    if broken := git(*NO_FILES, "fsck", "--connectivity-only", "--no-dangling"):
        found.append(f"git fsck: {broken}")
    locks = [str(path.relative_to(common)) for path in common.rglob("*.lock")]
    left = [lock for lock in locks if not lock.startswith(SELF_LOCKED)]
    left += [str(path.relative_to(common)) for pattern in SCRATCH for path in common.rglob(pattern)]
    return [*found, f"left in .git: {left}"] if left else found


def _left(run: Run) -> list[str]:
    """No process, no worktree of a task that is done, no file of a dead owner (after a sweep, which every loop does)."""
    found = [f"still running: {pids}"] if (pids := run.project.survivors()) else []
    if run.life.state == "converged":
        listed = re.findall(r"^worktree (.*)$", run.project.git("worktree", "list", "--porcelain"), re.MULTILINE)
        if busy := [path for path in listed[1:] if "/.pool/" not in path]:
            found.append(f"worktrees of a task that is done: {busy}")
        entries = [path.name for path in run.project.repo.glob(".worktrees/*") if path.name != ".pool"]
        if entries:
            found.append(f"left in .worktrees: {entries}")
        if half := [path.name for path in (run.project.repo / ".git/orchestrator").glob("ref.*")]:
            found.append(f"refs that nobody makes any more: {half}")
    queue = Queue(run.project.tasks)
    queue.sweep()
    owners = [path.name for path in (run.project.tasks / ".orch/owners").iterdir()]
    return [*found, f"owners' files left: {owners}"] if owners else found


def _states(tasks: Path) -> list[Path]:
    return sorted(path for path in tasks.iterdir() if path.is_dir() and path.name != ".orch")


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
