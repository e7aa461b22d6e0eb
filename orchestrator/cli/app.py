"""One invocation of the command line: settings, the queue, how to print. Without click, so that a status needn't load it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import output
from orchestrator.core.task import State
from orchestrator.errors import Misuse

if TYPE_CHECKING:
    from orchestrator.core.settings import Settings
    from orchestrator.store.config import Config
    from orchestrator.store.queue import Queue


@dataclass
class App:
    """One invocation: what the flags said, and what follows from them, found out when it is asked for."""

    flags: dict[str, object] = field(default_factory=dict)
    json: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False

    @cached_property
    def config(self) -> Config:
        """The effective configuration. Its warnings are told once, on stderr. Raises Misuse for a value that can't be."""
        from orchestrator.store import config

        loaded = config.load(self._settings_flags(), os.environ, Path.cwd())
        for warning in loaded.warnings if not self.quiet else ():
            output.err(f"orchestrator: {output.clean(warning)}")
        return loaded

    @property
    def settings(self) -> Settings:
        return self.config.settings

    @cached_property
    def queue(self) -> Queue:
        """The queue as it is. Raises Misuse where there is none, so that a wrong folder is noticed."""
        from orchestrator.store.queue import Queue

        root = refuse_inner(Path(self.settings.tasks))
        if not root.is_dir():
            raise Misuse(f"There is no tasks folder at {root}.", hint=_elsewhere() or self._how_one_is_made(root))
        return Queue(root)

    @cached_property
    def new_queue(self) -> Queue:
        """The queue, its folders made where they are missing: for commands that put something in. A second one below another is
        told, on stderr: whoever works on that one would wait for this task in vain."""
        from orchestrator.store.queue import Queue

        root = refuse_inner(Path(self.settings.tasks))
        second = None if root.is_dir() or self.quiet else _elsewhere()
        queue = Queue(root)
        queue.ensure()
        if second:
            output.err(output.clean(f"A new queue was made at {root}. {second}"))
        return queue

    @property
    def color(self) -> bool:
        return output.color_wanted(sys.stdout, no_color=self.no_color)

    @property
    def rich(self) -> bool:
        """Whether a person looks at a terminal, so that tables may fit themselves to it."""
        return output.terminal(sys.stdout)

    def say(self, text: str) -> None:
        """A line for people: not with --quiet, not into a JSON document."""
        if not self.quiet and not self.json:
            output.out(output.clean(text, lines=True))

    def _how_one_is_made(self, root: Path) -> str:
        from shlex import quote

        if (source := self.config.sources["tasks"]) == "default":
            return "`orchestrator init` makes one here; --tasks DIR names another."
        return f"So says {source}. Is it misspelt? Else `orchestrator init --tasks {quote(str(root))}` makes it."

    def _settings_flags(self) -> dict[str, object]:
        level = "quiet" if self.quiet else "verbose" if self.verbose else None
        flags = {name: value for name, value in self.flags.items() if value is not None}
        return {**flags, **({"log_level": level} if level else {})}


def refuse_inner(root: Path) -> Path:
    """`root`, unless it lies inside of a queue: nothing is in `tasks/pending/pending`, and its folders are that one's tasks."""
    for holder in root.parents[:2]:
        if all((holder / state).is_dir() for state in State):
            raise Misuse(f"{root} lies inside the tasks folder {holder}.", hint="Name that one, or a folder elsewhere.")
    return root


def _elsewhere() -> str:
    """Where a queue lies above this folder, in a sentence; empty where none does."""
    from shlex import quote

    above = next((folder for folder in Path.cwd().parents if (folder / "tasks/pending").is_dir()), None)
    return f"There is one above: `orchestrator -C {quote(str(above))} …`." if above else ""
