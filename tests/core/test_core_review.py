from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import convergence, record, review
from orchestrator.core.outcome import AgentEnd, Reason
from orchestrator.core.record import Answer, Attempt, Record, Result
from orchestrator.core.spec import Review, Spec

SPEC = Spec(review=Review.REQUIRED)
DONE = Attempt(1, "exec", AgentEnd.FINISHED, Result.CONVERGED, commit="c1")
RECORD = Record("id", "x", 1, "x", history=(DONE,), attempts=1, streak=3, streak_commit="c1:s")
ASKED = replace(RECORD, review=review.asked(RECORD, "c1", "s", 5.0))


def test_an_open_question_waits_where_the_spec_asks_for_it() -> None:
    assert review.waits(SPEC, ASKED) == "c1"
    assert review.waits(Spec(), ASKED) is None
    assert review.waits(SPEC, RECORD) is None
    assert review.waits(SPEC, replace(ASKED, reason=Reason.STOPPED)) is None
    assert review.asked(ASKED, "c1", "s", 9.0).asked == 5.0
    assert review.asked(ASKED, "c2", "s", 9.0).asked == 9.0


def test_an_approval_is_for_that_commit_and_that_evaluator() -> None:
    approved = review.answered(ASKED, Answer.APPROVED, "")
    assert review.approved(approved, "c1", "s")
    assert not review.approved(approved, "c2", "s")
    assert not review.approved(approved, "c1", "another")
    assert not review.approved(ASKED, "c1", "s")
    assert (review.waits(SPEC, approved), review.rejected(approved, "c1")) == (None, None)


def test_a_rejected_attempt_has_not_converged_and_its_commit_is_not_proved() -> None:
    rejected = review.answered(ASKED, Answer.REJECTED, "no")
    assert [(each.result, each.detail) for each in rejected.history] == [(Result.GATE, "rejected by a person: no")]
    assert review.rejected(rejected, "c1") == "A person looked at commit c1 and rejected it: no"
    assert review.rejected(rejected, "c2") is None
    assert not review.proved(rejected, "c1", "s")
    assert (rejected.streak, rejected.failures) == (0, 0)


@pytest.mark.parametrize("answer", [None, *Answer])
def test_it_survives_the_way_to_disk_and_ends_with_a_retry(answer: Answer | None) -> None:
    found = review.answered(ASKED, answer, "n") if answer else ASKED
    assert record.from_dict(record.to_dict(found)) == found
    assert "review" not in record.to_dict(RECORD)
    assert convergence.requeued(found).review is None
