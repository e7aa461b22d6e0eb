"""The sessions of one attempt: one for each phase that is asked for, else a single one. Measured is what the last one left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.agents.log import readable
from orchestrator.agents.protocol import Agent
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.core.terminal import visible
from orchestrator.core.value import Value
from orchestrator.worker import prompt, skills
from orchestrator.worker.findings import Watch
from orchestrator.worker.skills import Skill
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work

SHOWN = 8_000  # characters of the diff that the next session is shown; the rest it asks git for
SAID = 2_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Phase(Value):
    """One session of an attempt. `name` is its skill's, empty for the only one; `so_far` is what lies in the worktree since the
    attempt began, as a patch, and `said` the last words of the session before."""

    name: str = ""
    names: tuple[str, ...] = ()
    skills: Mapping[str, Skill] = field(default_factory=dict)
    start: str = ""
    so_far: bytes = b""
    said: str = ""

    @property
    def first(self) -> bool:
        return not self.names or self.name == self.names[0]

    @property
    def named(self) -> Mapping[str, str]:
        """Its name for an event; nothing where it is the only one."""
        return {"phase": self.name} if self.name else {}

    def part(self, folders: tuple[str, ...]) -> prompt.Part:
        """What its prompt says of it to an agent that looks for skills in `folders`."""
        texts = [] if folders else [skills.told(skill, folders) for skill in self.skills.values() if skill.chosen]
        return prompt.Part(self._told(folders), self._left(), "\n\n".join(texts))

    def _told(self, folders: tuple[str, ...]) -> str:
        if not self.name:
            return ""
        order = ", ".join(f"**{name}** (yours)" if name == self.name else name for name in self.names)
        return f"The attempt is made in sessions, one after the other in this worktree: {order}. {self._skill(folders)}"

    def _skill(self, folders: tuple[str, ...]) -> str:
        return skills.told(self.skills[self.name], folders)

    def _left(self) -> str:
        if self.first:
            return ""
        if not self.so_far:
            return f"Nothing was changed.{self._words()}"
        patch = self.so_far.decode(errors="replace")
        cut = f"\n[…] (cut here; `git diff {self.start}` shows all of it, but for new files)" if len(patch) > SHOWN else ""
        return prompt.fenced(visible(patch[:SHOWN]).strip(), "diff") + cut + self._words()

    def _words(self) -> str:
        said = readable(self.said).strip()[-SAID:]
        return f"\n\nThe last of it said:\n\n{prompt.fenced(said)}" if said else ""


def through(work: Work, space: Space, watch: Watch, session: Callable[[Phase], AgentOutcome]) -> AgentOutcome:
    """Hold one session after the other, as long as each one finishes; how the last of them ended, with what all of them used."""
    known = skills.found(work, space.path)
    names = () if work.record.resolving else skills.phases(work, known)  # a conflict is one small decision
    first, *others = (Phase(name, names, known, watch.start) for name in names or ("",))
    outcome = session(first)
    for phase in others:
        if outcome.end is not AgentEnd.FINISHED or work.pulse.beat() is not None:
            break
        following = session(replace(phase, so_far=space.between(watch.start, space.state()), said=outcome.said))
        outcome = replace(following, spend=outcome.spend + following.spend)
    return outcome


def folders(work: Work, agent: Agent) -> tuple[str, ...]:
    """Where `agent` looks for skills and may find ours: in a worktree made for the task, not in a folder of somebody's."""
    return agent.traits.skills if work.record.branch else ()


def prompt_file(phase: Phase) -> str:
    """Where a session's prompt is kept, below the attempt's folder: that of the first, or only, one is the attempt's."""
    return "prompt.md" if phase.first else f"prompt.{os.path.basename(phase.name)}.md"  # noqa: PTH119
