"""Skills: instructions in a folder of their own that an agent's program finds by itself, or is told in its prompt.

Ours (`templates/skills/`) and the spec's are copied into a worktree before each session and taken away after it. Meanwhile the
repository's own ignore file (`info/exclude`) keeps them out of every commit; a `.gitignore` beside them would hide them from some
programs too. A skill of the repository's own wins over one of ours of the same name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import AgentError
from orchestrator.store import templates
from orchestrator.store.skills import FILE, OWN, below, ours
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work

MARK = ".orchestrator"  # a file in a copy: we made it, and may take it away
HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Skill(Value):
    """A skill: `folder` holds its SKILL.md. `chosen`: the task asks for it. `copied`: agents find it where they look, too."""

    name: str
    folder: Path
    chosen: bool = False
    copied: bool = True

    def text(self) -> str:
        """Its instructions, without the header that tells programs what it is for."""
        return HEAD.sub("", (self.folder / FILE).read_text(encoding="utf-8", errors="replace")).strip()


def found(work: Work, worktree: Path) -> Mapping[str, Skill]:
    """Every skill that a session of this task may be told to follow; the repository's own win, then the spec's.

    Raises AgentError where the spec names one that is nowhere."""
    chosen = {folder.name: folder for folder in (_chosen(work, name, worktree) for name in work.spec.skills)}
    theirs = {name: folder for top in OWN for name, folder in below(worktree / top).items()}
    own = {**ours(), **chosen}
    folders = {**own, **{name: folder for name, folder in theirs.items() if not _ours(folder)}}
    return {name: Skill(name, folder, name in chosen, name in own) for name, folder in folders.items()}


def phases(work: Work, skills: Mapping[str, Skill]) -> tuple[str, ...]:
    """The skills that an attempt goes through, each in a session of its own; none: one session for everything.

    Raises AgentError where one of them is no skill."""
    names = work.spec.phases or work.settings.phases
    for name in names:
        if name not in skills:
            raise AgentError(f"There is no skill called {name!r} for a phase.", hint=f"There are: {', '.join(sorted(skills))}.")
    return names


@contextlib.contextmanager
def laid_out(space: Space, folders: Sequence[str], skills: Mapping[str, Skill]) -> Iterator[None]:
    """While the block runs, the skills lie in those folders of the worktree."""
    copies = [(space.path / folder / skill.name, skill) for folder in folders for skill in skills.values()]
    copies = [(target, skill) for target, skill in copies if skill.copied and _may_lie(space.path, target)]
    space.hide(*(f"/{target.relative_to(space.path)}/" for target, _ in copies))
    for target, skill in copies:
        _lay(target, skill)
    try:
        yield
    finally:
        for folder in folders:
            _clear(space.path, space.path / folder)


def told(skill: Skill, folders: Sequence[str]) -> str:
    """How a prompt tells an agent to follow a skill: by name where its program finds it, else by its whole text."""
    if folders:
        return f"Follow the skill `{skill.name}` (`{folders[0]}/{skill.name}/{FILE}`)."
    return f"Follow the skill `{skill.name}`, which says:\n\n{_deeper(skill.text())}"


def _chosen(work: Work, name: str, worktree: Path) -> Path:
    """The folder that the spec means: in the task's folder, in the project, in the worktree, or one of ours."""
    tops = (work.claim.folder, work.claim.queue.root.parent, *(worktree / folder for folder in OWN), templates.path("skills"))
    for top in tops:
        if ((path := top / Path(name).expanduser()) / FILE).is_file():
            return path
    raise AgentError(
        f"The spec's skill {name!r} is no folder with a {FILE}.",
        hint="Name a folder of the task, of the project, or an absolute path; or take it out of `skills`.",
    )


def _may_lie(worktree: Path, target: Path) -> bool:
    """Nothing of theirs is there, and no link leads out of the worktree."""
    return (not os.path.lexists(target) or _ours(target)) and target.parent.resolve().is_relative_to(worktree.resolve())


def _lay(target: Path, skill: Skill) -> None:
    with contextlib.suppress(FileExistsError, NotADirectoryError):  # a file of theirs is in the way: then there is none
        if _ours(target):
            shutil.rmtree(target)
        shutil.copytree(skill.folder, target, ignore_dangling_symlinks=True)
        (target / MARK).touch()


def _clear(worktree: Path, home: Path) -> None:
    """Take our copies away, and the folders that then hold nothing; git knows no empty ones."""
    for target in home.glob("*"):
        if _ours(target):
            shutil.rmtree(target, ignore_errors=True)
    with contextlib.suppress(OSError):
        while home != worktree:
            home.rmdir()
            home = home.parent


def _ours(folder: Path) -> bool:
    return not folder.is_symlink() and (folder / MARK).is_file()


def _deeper(text: str) -> str:
    """The headings two levels down, since the prompt has its own."""
    return re.sub(r"(?m)^(#{1,4} )", r"##\1", text)
