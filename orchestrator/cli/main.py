"""The top of the command line: runs it and turns whatever happens into an exit code and a sentence."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.cli import output
from orchestrator.errors import INTERRUPTED, LACKING, OrchestratorError

if TYPE_CHECKING:
    import click

FAULT = 3
MISUSE = 2
PROGRAM = "orchestrator"
PLAINER = {
    "is not a valid integer range": "is no whole number",
    "is not a valid integer": "is no whole number",
    "is not a valid float": "is no number",
}
COMPLETION = "_ORCHESTRATOR_COMPLETE"  # set by a shell that asks click what could come next


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code of the contract."""
    output.prepare()
    _have_a_home()
    if sys.stdout is None:
        output.error("Its standard output is closed: there is nowhere to say anything.", "Send it somewhere, be it /dev/null.")
        return 1
    try:
        code = _run(argv)
        sys.stdout.flush()
    except (output.ReaderGone, BrokenPipeError):
        _mute()
        return 0
    except OSError as error:
        _mute()
        return _lacking(error)
    return code


def _have_a_home() -> None:
    """What container engines give a user whom no file names, where he came without it: `~` means nothing else."""
    if "HOME" not in os.environ and not os.path.isabs(os.path.expanduser("~")):  # noqa: PTH111, PTH117 - pathlib raises
        os.environ["HOME"] = "/"


def _run(argv: Sequence[str] | None) -> int:
    words = tuple(sys.argv[1:] if argv is None else argv)
    try:
        if COMPLETION in os.environ:
            return _completed(words)
        plain = PLAIN.get(words)
        return _unparsed(plain) if plain else _parsed(words)
    except OrchestratorError as error:
        output.error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        output.err("")
        return INTERRUPTED
    except output.ReaderGone:
        raise
    except Exception as error:  # noqa: BLE001 - our own fault: never a traceback in a person's face
        if isinstance(error, OSError) and error.errno in LACKING:
            return _lacking(error)
        if isinstance(error, FileNotFoundError | PermissionError) and (why := _nowhere()):
            output.error(f"The current folder {why}.", "`cd` to another one, or name the project: `orchestrator -C DIR …`.")
            return MISUSE
        return _refused(error) if isinstance(error, PermissionError) and error.filename else _fault(error)


def _status(*, json: bool = False) -> int:
    from orchestrator.cli.app import App
    from orchestrator.cli.status import status

    return status(App(json=json), watch=False)


def _drain() -> int:
    from orchestrator.cli.app import App
    from orchestrator.cli.loop import drain

    return drain(App())


def _loop() -> int:
    from orchestrator.cli.app import App
    from orchestrator.cli.loop import loop

    return loop(App())


# What is asked most often, by people's prompts and by scripts, or begins a day's work: known by its words, without the time and
# the memory that click takes.
PLAIN: Mapping[tuple[str, ...], Callable[[], int]] = {
    (): _drain,
    ("--loop",): _loop,
    ("--status",): _status,
    ("--status", "--json"): partial(_status, json=True),
}


def _unparsed(command: Callable[[], int]) -> int:
    try:
        return command()
    except BrokenPipeError as error:
        raise output.ReaderGone from error


def _completed(words: Sequence[str]) -> int:
    """What could come next, for a shell. Nothing is told of what is wrong: it would stand in the middle of the line."""
    from orchestrator.cli import shells  # noqa: F401 - tells click how each shell takes it

    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123
        try:
            return _parsed(words)
        except OrchestratorError as error:
            return error.exit_code


def _parsed(words: Sequence[str]) -> int:
    import click

    from orchestrator.cli.commands import root

    try:
        result = root.main(words, prog_name=PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        output.error(_sentence(error.format_message()), f"See `{_command(error, words)} --help`.")
        return MISUSE
    except click.ClickException as error:
        output.error(error.format_message())
        return 1
    except click.Abort:
        raise KeyboardInterrupt from None


def _command(error: click.UsageError, words: Sequence[str]) -> str:
    """The command that was misused. An option without its value is refused before click knows whose it is."""
    from orchestrator.cli.commands import COMMANDS

    if error.ctx:
        return error.ctx.command_path
    return " ".join((PROGRAM, *[word for word in words if word in COMMANDS][:1]))


def _sentence(text: str) -> str:
    plain = " ".join(text.split())
    for theirs, ours in PLAINER.items():
        plain = plain.replace(theirs, ours)
    return plain if plain.endswith((".", "?", "!")) else f"{plain}."


def _nowhere() -> str:
    """What is wrong with the folder that the command was called in, from where all is looked for; nothing where it is one."""
    try:
        os.stat(f"{os.getcwd()}/.")  # noqa: PTH109, PTH116
    except FileNotFoundError:
        return "is gone"
    except PermissionError:  # `sudo -u somebody`, or `su`, in a folder of one's own
        return "is closed to this user"
    return ""


def _refused(error: PermissionError) -> int:
    """What lies in a folder of another user's, or was made by one command as root."""
    output.error(f"{error.strerror}: {os.fsdecode(error.filename)}.", "See whose that is: this user needs permission there.")
    return 1


def _fault(error: Exception) -> int:
    """Say that it was our fault and where the details are."""
    import traceback

    summary = f"{type(error).__name__}: {error}".rstrip(": ")
    try:
        path = _write_log("".join(traceback.format_exception(error)))
    except OSError:
        traceback.print_exception(error)
        output.error(f"An error of the orchestrator itself: {summary}.", "Please report it with the lines above.")
    else:
        output.error(f"An error of the orchestrator itself: {summary}.", f"Please report it with {path}.")
    return FAULT


def _lacking(error: OSError) -> int:
    """A full disk, most often the one that stdout goes to, or too many open files."""
    place = f": {error.filename}" if error.filename else ""
    output.error(f"The system refused what has to be written or opened{place}: {error.strerror}.", "Make room, then do it again.")
    return 1


def _write_log(trace: str) -> Path:
    import platformdirs

    folder = Path(platformdirs.user_state_dir(PROGRAM, appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"error-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    lines = [
        f"orchestrator {__version__}, Python {sys.version.split()[0]}, {sys.platform}",
        f"command line: {sys.argv[1:]!r}",
        trace,
    ]
    path.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")
    return path


def _mute() -> None:
    """The reader has gone: what is still buffered goes nowhere, instead of raising at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
