"""A person's word on verified work: asked for one commit, measured by one evaluator, and good for exactly these."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.record import Answer, Attempt, Record, Result, Reviewing
from orchestrator.core.spec import Review, Spec

REJECTED = "rejected by a person"


def waits(spec: Spec | None, record: Record | None) -> str | None:
    """The commit for which a person's word is awaited; None where the task waits for none."""
    if spec is None or record is None or spec.review is not Review.REQUIRED or record.ended or record.review is None:
        return None
    return record.review.commit if record.review.answer is None else None


def proved(record: Record, commit: str, seal: str) -> bool:
    """Whether this commit has passed everything but a person, measured by this evaluator: it need not pass it again."""
    review = record.review
    return review is not None and (review.commit, review.seal) == (commit, seal) and review.answer is not Answer.REJECTED


def approved(record: Record, commit: str, seal: str) -> bool:
    """Whether a person has approved exactly this commit."""
    return proved(record, commit, seal) and record.review is not None and record.review.answer is Answer.APPROVED


def rejected(record: Record, commit: str) -> str | None:
    """What a person who rejected this very commit said, in words for the next prompt; None where nobody did."""
    review = record.review
    if review is None or review.answer is not Answer.REJECTED or review.commit != commit:
        return None
    return f"A person looked at commit {commit[:12]} and rejected it{f': {review.note}' if review.note else '.'}"


def asked(record: Record, commit: str, seal: str, now: float, own: str = "") -> Reviewing:
    """The question about this commit; one that is open already stays as it is."""
    if record.review is not None and record.review.answer is None and proved(record, commit, seal):
        return record.review
    return Reviewing(commit, seal, now, own=own)


def answered(record: Record, answer: Answer, note: str) -> Record:
    """`record` with a person's answer. A rejected attempt has not converged after all."""
    assert record.review is not None
    found = replace(record, review=replace(record.review, answer=answer, note=note), reason=None, detail=None, not_before=None)
    if answer is Answer.APPROVED:
        return found
    said = f"{REJECTED}{f': {note}' if note else ''}"
    return replace(found, streak=0, streak_commit=None, history=tuple(_refused(each, record, said) for each in record.history))


def _refused(attempt: Attempt, record: Record, said: str) -> Attempt:
    mine = record.review is not None and attempt.commit == record.review.commit and attempt.result is Result.CONVERGED
    return replace(attempt, result=Result.GATE, detail=said) if mine else attempt
