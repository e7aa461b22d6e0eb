"""Session logs in the exact form of their tools: key order, counts, segments, and nothing said twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.core import session
from orchestrator.core.evidence import Evidence, gather
from orchestrator.core.outcome import AgentEnd
from orchestrator.core.record import Attempt, Record, Result
from orchestrator.core.spec import Direction, Metric

KEYS = ["run", "commit", "metric", "metrics", "status", "description", "timestamp", "segment", "confidence", "orchestrator"]
THEIRS = b"""{"type":"config","name":"old","metricName":"ms","metricUnit":"ms","bestDirection":"lower"}
{"run":1,"commit":"abc1234","metric":90,"metrics":{},"status":"keep","description":"b","timestamp":1,"segment":0,"confidence":null}
no json
{"type":"note","run":9}
{"type":"config","name":"new","metricName":"ms","metricUnit":"ms","bestDirection":"lower"}
{"run":2,"commit":"abc1235","metric":80,"metrics":{},"status":"kept","description":"x","timestamp":2,"segment":7}
{"run":3,"commit":"abc1236","metric":0,"metrics":{},"status":"crash","description":"x","timestamp":3,"segment":7}
"""


def attempt(number: int, result: Result, value: float | None) -> Attempt:
    values = {} if value is None else {"ms": value, "kb": 3.0}
    return Attempt(number, "exec", AgentEnd.FINISHED, result, "", values, f"{number}" * 40, at=1700.5)


def task(*attempts: Attempt) -> Evidence:
    record = Record("id1", "x", 1, "x", baseline={"ms": 100.0, "kb": 3.0}, base_commit="b" * 40, created=1600.0, history=attempts)
    metrics = (Metric("ms", Direction.LOWER, target=10.0, unit="ms"), Metric("kb", guard=True))
    return gather("Faster", "", metrics, replace(record, attempts=len(attempts)), [])


def written(evidence: Evidence, data: bytes = b"") -> list[dict[str, object]]:
    return [json.loads(line) for line in session.lines(evidence, session.read(data))]


def test_a_new_log_begins_with_its_config_and_the_baseline() -> None:
    config, first, second = written(task(attempt(1, Result.IMPROVED, 60.0)))
    assert config == {"type": "config", "name": "Faster", "metricName": "ms", "metricUnit": "ms", "bestDirection": "lower"}
    assert list(first) == list(second) == KEYS
    assert (first["run"], first["status"], first["description"], first["commit"]) == (1, "keep", "baseline", "bbbbbbb")
    assert (second["run"], second["metric"], second["metrics"], second["segment"]) == (2, 60.0, {"kb": 3.0}, 0)
    assert second["timestamp"] == 1_700_500


def test_each_result_has_their_word() -> None:
    results = (Result.IMPROVED, Result.UNCHANGED, Result.GATE, Result.DEFECT, Result.SCOPE_VIOLATION)
    runs = written(task(*(attempt(n, each, None if each is Result.DEFECT else 50.0) for n, each in enumerate(results, 1))))[2:]
    assert [run["status"] for run in runs] == ["keep", "discard", "checks_failed", "crash", "discard"]
    assert runs[3]["metric"] == 0


def test_an_existing_log_goes_on_in_its_last_segment_and_counts_over_all() -> None:
    first, second = written(task(attempt(1, Result.IMPROVED, 60.0)), THEIRS)
    assert (first["run"], first["segment"], second["run"], second["segment"]) == (4, 1, 5, 1)


def test_what_is_told_is_not_told_again_and_another_task_s_lines_are_not_ours() -> None:
    evidence = task(attempt(1, Result.IMPROVED, 60.0))
    data = "\n".join(session.lines(evidence, session.read(b""))).encode()
    assert written(evidence, data) == []
    more = task(attempt(1, Result.IMPROVED, 60.0), attempt(2, Result.CONVERGED, 9.0))
    assert [run["run"] for run in written(more, data)] == [3]
    assert len(written(replace(evidence, record=replace(evidence.record, id="id2")), data)) == 2


def test_the_confidence_is_theirs() -> None:
    runs = written(task(*(attempt(n, Result.IMPROVED, value) for n, value in enumerate((90.0, 70.0, 60.0), 1))))[1:]
    assert [run["confidence"] for run in runs] == [None, None, 3.0, round(40 / 15, 4)]


def test_a_crash_s_zero_is_no_number_and_segments_are_counted_anew() -> None:
    log = session.read(THEIRS)
    assert (log.runs, log.segment, log.numbers, log.kept) == (3, 1, (80.0,), (80.0,))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "true", '"3"', "null"])
def test_a_number_that_is_none_is_passed_over(number: str) -> None:
    log = session.read(f'{{"run":1,"metric":{number},"status":"keep"}}\n'.encode())
    assert (log.runs, log.numbers, log.kept) == (1, (), ())


def test_a_line_nested_without_end_is_passed_over() -> None:
    assert session.read(b"[" * 100_000 + b'\n{"run":1,"metric":2,"status":"keep"}\n').numbers == (2.0,)
