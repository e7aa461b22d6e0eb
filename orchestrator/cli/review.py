"""`orchestrator approve NAME`, `orchestrator reject NAME`: a person's word on verified work that waits for it."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import hold, output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, name_argument, pass_app
from orchestrator.core.record import Answer, Record
from orchestrator.core.review import answered
from orchestrator.core.task import Place, State, mark
from orchestrator.errors import OrchestratorError
from orchestrator.proc.table import MARK
from orchestrator.store import records, seal, specfile

COMMIT = click.option("--commit", metavar="COMMIT", default="", help="Only if it is this commit that waits.")
APPROVED = "is approved and lands next"
REJECTED = "is rejected and goes back to its agent"
VOID = "is approved, but what decides on it was edited since it was verified: it is measured anew, and you are asked again"


@click.command(epilog="\b\nExample: orchestrator diff fix-auth && orchestrator approve fix-auth")
@name_argument()
@click.option("--note", metavar="TEXT", default="", help="Why it is good, for the report and the merge commit.")
@COMMIT
@common()
@pass_app
def approve(app: App, name: str, note: str, commit: str) -> int:
    """Let verified work land. Good for exactly the commit that waits; it is merged, measured and checked as always."""
    return _answer(app, name, commit, Answer.APPROVED, note.strip(), APPROVED)


@click.command(epilog='\b\nExample: orchestrator reject fix-auth --note "keep the old name as an alias"')
@name_argument()
@click.option("--note", metavar="TEXT", default="", help="What is wrong with it, for the next prompt.")
@COMMIT
@common()
@pass_app
def reject(app: App, name: str, note: str, commit: str) -> int:
    """Send verified work back: the next attempt goes on from it, and is told the note."""
    return _answer(app, name, commit, Answer.REJECTED, note.strip(), REJECTED)


def _answer(app: App, name: str, commit: str, answer: Answer, note: str, told: str) -> int:
    """A kill before the record is written leaves the question open, after it the answer given: whoever takes the task over from
    this claim finds one or the other."""
    place = app.queue.find(name)
    _by_a_person(app)
    _awaited(place, records.peek(app.queue.path(place)), commit)
    with hold.claimed(app.queue, place) as claim:
        record = _awaited(place, claim.record(), commit)
        assert record.review is not None
        told = VOID if answer is Answer.APPROVED and outdated(claim.folder, record) else told
        claim.event(answer.value, commit=record.review.commit, note=note)
        claim.release(State.PENDING, answered(record, answer, note))
    app.say(f"{output.name_text(place.name)} {told} ({record.review.commit[:10]}).")
    return 0


def _by_a_person(app: App) -> None:
    """Raises OrchestratorError below a worker of this queue: the merge commit would say that a person had looked."""
    theirs = os.environ.get(MARK, "").partition(mark("", ""))[2]
    if theirs and Path(theirs).resolve() == app.queue.root.resolve():  # by whichever path: a project may lie behind a link
        raise OrchestratorError(
            "Only a person answers here, and this runs in a session or a benchmark of this queue.",
            hint="Leave it to whoever reviews the work; the task waits.",
        )


def outdated(folder: Path, record: Record | None) -> bool:
    """Whether a person's word is awaited on what was measured by another evaluator than the task's folder holds by now."""
    if record is None or record.ended or record.review is None or record.review.answer:
        return False
    try:
        return seal.seal(folder, specfile.read(folder)).digest != (record.review.own or record.review.seal)
    except OrchestratorError:
        return True


def _awaited(place: Place, record: Record | None, commit: str) -> Record:
    """The record that asks. Raises OrchestratorError where none does, or about another commit."""
    hint = f"`orchestrator why {quote(place.name)}` says where it is."
    if place.state is not State.PENDING or record is None or record.ended or record.review is None or record.review.answer:
        raise OrchestratorError(f"{place.name!r} doesn't wait for a review.", hint=hint)
    if not record.review.commit.startswith(commit):
        raise OrchestratorError(f"What waits in {place.name!r} is {record.review.commit[:10]}, not {commit[:10]}.", hint=hint)
    return record
