"""What a setup command left in a worktree that git neither tracks nor ignores. It is nobody's work: it belongs in no commit for
as long as it is what it was. What an agent makes of it is the agent's.

It is written down in git's folder for the worktree, beside our mark: whoever goes on there after a kill, or removes it, must
know it too. A kill before it is written leaves it to count as work, as without it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from orchestrator.git import nested, refs, snapshot, worktree
from orchestrator.git.atomicfile import write
from orchestrator.git.untracked import hollow
from orchestrator.git.worktree import Worktree

FILE = "orchestrator.given"
Print = list[int]


def note(tree: Worktree, but: frozenset[str] = frozenset()) -> None:
    """Take what lies in the worktree now, uncommitted and not ignored, as given, and folders without a file. Not the files `but`:
    what was `beyond` any commit before a setup or a benchmark may be an agent's."""
    loose = _loose(tree) - but
    untracked = snapshot.look(tree.git, tree.repo.hash_size).untracked
    occupied = (f"{path}/" for path in worktree.unfilled(tree) if refs.entries(tree.path / path))
    entries = (*untracked, *hollow(tree.git), *occupied)
    if not entries:
        forget(tree)
        return
    survey = nested.survey(tree.git, untracked, ())
    listed = tree.git.run("ls-files", "-z", "-o", "--exclude-standard", "--", *survey.paths).stdout
    names = [name for name in os.fsdecode(listed).split("\0") if name and not name.endswith("/")]
    names += [name for repository in survey.repositories for name in nested.files(tree.git, repository)]
    files = {name: print_ for name in (*names, *loose) if (print_ := _print(tree, name))}
    write(tree.admin / FILE, json.dumps({"entries": entries, "files": files}))


def beyond(tree: Worktree) -> frozenset[str]:
    """Files that lie where a submodule would be that was not initialised, and are nothing given: no status tells of them, and no
    commit takes them up."""
    loose = _loose(tree)
    return loose - unchanged(tree) if loose else loose


def forget(tree: Worktree) -> None:
    """Nothing is given."""
    (tree.admin / FILE).unlink(missing_ok=True)


def entries(tree: Worktree) -> tuple[str, ...]:
    """What was noted, as `git status` names it: files, and whole folders."""
    return tuple(_noted(tree)[0])


def unchanged(tree: Worktree) -> frozenset[str]:
    """Files that were noted and are as they were."""
    return frozenset(name for name, known in _noted(tree)[1].items() if _print(tree, name) == known)


def _loose(tree: Worktree) -> frozenset[str]:
    found = set[str]()
    for path in worktree.unfilled(tree):
        with suppress(OSError):  # a folder that is too deep, or not to be read: what was found before it tells enough
            found.update(nested.walk(tree.path, f"{path}/"))
    return frozenset(name for name in found if not any(nested.unwanted(part) for part in name.split("/")))


def _noted(tree: Worktree) -> tuple[list[str], dict[str, Print]]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads((tree.admin / FILE).read_bytes())
        return list(data["entries"]), dict(data["files"])
    return [], {}


def _print(tree: Worktree, name: str) -> Print | None:
    """What changes whenever the file does."""
    try:
        status = os.lstat(tree.path / name)
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns]
