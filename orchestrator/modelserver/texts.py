"""What the script wants done as plain text, for clients that declare no tool and read the model's words instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.modelserver.conversation import Ask
from orchestrator.modelserver.script import Text, Turn, Write
from orchestrator.modelserver.tools import by_shell

SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"  # mini-swe-agent ends when a command prints this
BLOCK = re.compile(r"```(\w*bash\w*)\n")


def implied(ask: Ask) -> Text | None:
    """The text form that the client's own instructions speak of."""
    if "SEARCH/REPLACE" in ask.words:
        return Text.SEARCH_REPLACE
    return Text.BASH if SUBMIT in ask.words and BLOCK.search(ask.words) else None


def as_text(form: Text, turns: Sequence[Turn], ask: Ask) -> str:
    """The answer: one command where the client runs them, all that is left where it takes one answer in a session."""
    if form is Text.SEARCH_REPLACE:
        return "\n\n".join(filter(None, (_edit(turn, ask) for turn in turns)))
    return _command(turns[0], ask)


def submitting(finish: str) -> str:
    """The command that ends a session of mini-swe-agent."""
    return f"echo {SUBMIT} && cat <<'EOF'\n{finish}\nEOF"


def _edit(turn: Turn, ask: Ask) -> str:
    done = _search_replace(turn.write, ask) if turn.write else f"```bash\n{turn.run}\n```" if turn.run else turn.finish
    return "\n\n".join(filter(None, (turn.say, done)))


def _search_replace(write: Write, ask: Ask) -> str:
    """Replaces the file's text as the client showed it; a file that was not shown is a new one."""
    shown = re.search(rf"^{re.escape(write.path)}\n```\w*\n(.*?)^```", ask.words, re.MULTILINE | re.DOTALL)
    old = shown.group(1) if shown else ""
    new = write.content if write.content.endswith("\n") else write.content + "\n"
    return f"{write.path}\n```\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```"


def _command(turn: Turn, ask: Ask) -> str:
    command = turn.run or (by_shell(turn.write) if turn.write else submitting(turn.finish or turn.say))
    found = BLOCK.search(ask.words)
    return f"{turn.say}\n\n```{found.group(1) if found else 'bash'}\n{command}\n```"
