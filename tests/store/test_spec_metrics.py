"""The metric from three places: filled up from each other, and an error with both places where they disagree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.spec import Direction, Metric, Mode, Spec
from orchestrator.errors import SpecError
from orchestrator.store import specfile

BODY = "# T\n## Metrics\n- **Primary**: total_ms (ms, lower is better)\n"


def read(folder: Path, text: str, *log: dict[str, Any] | str) -> Spec:
    (folder / "autoresearch.md").write_text(text)
    if log:
        lines = (line if isinstance(line, str) else json.dumps(line) for line in log)
        (folder / "autoresearch.jsonl").write_text("\n".join(lines) + "\n")
    return specfile.read(folder)


def config(**more: Any) -> dict[str, Any]:
    return {"type": "config", "name": "x", "metricName": "total_ms", "metricUnit": "ms", "bestDirection": "lower", **more}


def test_each_place_fills_what_the_others_leave_open(tmp_path: Path) -> None:
    front = "---\nmetric: {name: total_ms, tolerance: 2}\n---\n"
    spec = read(tmp_path, front + BODY, config(targetValue=50))
    assert spec.metrics == (Metric("total_ms", Direction.LOWER, target=50.0, tolerance=2.0, unit="ms"),)


@pytest.mark.parametrize(
    ("front", "log", "words"),
    [
        (
            "metric: {name: total_ms, direction: higher, target: 1}",
            None,
            ("direction lower", "higher, as autoresearch.md:2"),
        ),
        ("metric: {name: total_ms, unit: s}", None, ("unit ms", "s, as autoresearch.md:2")),
        ("metric: {name: total_ms, target: 5}", config(target_value=6), ("target 6", "5, as autoresearch.md:2")),
        ("metric: {name: other, target: 5}", None, ("primary metric `total_ms`", "`other`, as autoresearch.md:2")),
        ("priority: 1", config(bestDirection="higher"), ("direction higher", "lower, as autoresearch.md:6")),
    ],
)
def test_two_places_that_disagree_are_an_error_that_names_both(
    tmp_path: Path, front: str, log: dict[str, Any] | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, f"---\n{front}\n---\n{BODY}", *([log] if log else []))
    problem = caught.value.problems[0]
    assert problem.path.name == ("autoresearch.jsonl" if log else "autoresearch.md")
    assert words[0] in problem.found
    assert words[1] in problem.expected


def test_labelled_lines_that_disagree_with_a_key_name_both_places(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, "---\nmodel: a\n---\n# T\n**Model:** b\n- **Model:** a\n")
    (problem,) = caught.value.problems
    assert (problem.line, problem.found) == (5, "model b")
    assert problem.expected.startswith("a, as autoresearch.md:2")


@pytest.mark.parametrize(
    ("line", "model", "warned"),
    [
        ("- **Model:** `gpt-5`", "gpt-5", False),
        ("**Model**: opus", "opus", False),
        ("* **model:** opus # the big one", "opus", False),
        ("- **Model:** <model-name>   # optional", None, False),
        ("- **Model:** default", None, False),
        ("- **Model:**", None, False),
        ("- **Model:** the one that Anna liked", None, True),
        ("```\n**Model:** x\n```", None, False),
        ("Text about the **Model:** x", None, False),
    ],
)
def test_a_model_line_counts_where_it_names_one(tmp_path: Path, line: str, model: str | None, warned: bool) -> None:
    spec = read(tmp_path, f"# T\n{line}\n")
    assert (spec.model, bool(spec.warnings)) == (model, warned)


@pytest.mark.parametrize("limit", ["0", "many", "-1", "9999999"])
def test_a_retry_limit_that_is_no_count_is_told_and_not_used(tmp_path: Path, limit: str) -> None:
    spec = read(tmp_path, f"# T\n**Retry limit:** {limit}\n")
    assert spec.max_failures is None
    assert "Retry limit" in spec.warnings[0]


@pytest.mark.parametrize(
    ("line", "metric"),
    [
        ("- **Primary**: a_ms (ms, lower is better) — target: 3", Metric("a_ms", target=3.0, unit="ms")),
        ("- **Primary**: `score` (unitless, higher is better, target >= 0.95)", Metric("score", Direction.HIGHER, target=0.95)),
        ("- **Primary metric:** gaps (lower is better; goal 0)", Metric("gaps", target=0.0)),
        ("* Primary: x (higher, target 1e3)", Metric("x", Direction.HIGHER, target=1000.0)),
        ("- **Primary**: y (minimize, target: -5)", Metric("y", target=-5.0)),
        ("- **Primary**: z (lower is better), target 50.", Metric("z", target=50.0)),
        ("- **Primary**: z (lower is better), target **.5** ms (was 70)", Metric("z", target=0.5)),
        ("- **Primary**: z (lower is better), target 0, 3 times in a row", Metric("z", target=0.0)),
        ("- **Primary**: z (lower is better), target 5. 12 at the start", Metric("z", target=5.0)),
        ("- **Primary**: z [lower is better, target 5]", Metric("z", target=5.0)),
        ("- **Primary**: z (s,2 digits, lower is better, target 5)", Metric("z", target=5.0, unit="s")),
        ("- **Primary**: z < 5 (was 70)", Metric("z", target=5.0)),
        ("- **Primary**: z (lower is better, target 5) — higher is better for others", Metric("z", target=5.0)),
        ("- **Primary**: z (s, ↓, target: under 5)", Metric("z", target=5.0, unit="s")),
        ("- **Primary**: z over 3 runs (lower is better, target at most 5)", Metric("z", target=5.0)),
    ],
)
def test_the_ways_to_write_a_primary_metric(tmp_path: Path, line: str, metric: Metric) -> None:
    assert read(tmp_path, f"# T\n## Metric Contract\n{line}\n").metrics == (metric,)


@pytest.mark.parametrize(
    "line",
    [
        "rps of the server (higher is better, target 500)",
        "rps — higher is better, target 500",
        "rps, maximize, target 500",
        "rps (target >= 500)",
        "rps: target ≥ 500",
        "rps >= 500",
        "`rps` (unitless) > 500; more is better",
        "rps; target: >= 500",
        "rps (the higher the better, target 500)",
        "rps (bigger is better, target 500)",
        "rps\n  - **Direction**: higher\n  - **Target**: 500",
        "rps (target 500)\n- Direction: higher is better",
        "rps (↑, target 500)",
        "rps ↑ (target 500)",
        "rps (higher-is-better, target 500)",
        "rps (bigger = better; target 500)",
        "rps, target 500 (higher values are better)",
        "rps (should increase, target 500)",
        "rps, as high as possible (target 500)",
        "rps (target: at least 500)",
        "rps (target above 500)",
        "rps must be at least 500",
    ],
)
def test_a_direction_counts_wherever_an_item_says_it(tmp_path: Path, line: str) -> None:
    """Taken for lower, 100 of 500 requests a second were at target, and the task converged without an agent."""
    assert read(tmp_path, f"# T\n## Metrics\n- **Primary**: {line}\n").metrics == (Metric("rps", Direction.HIGHER, target=500.0),)


@pytest.mark.parametrize(
    "said",
    [
        "at least 3 runs are measured",
        "(target at least 3 runs at 600)",
        "(lower is better, target under 10 minutes)",
        "should be at most 3 in each run",
        "(target max 3 attempts)",
        "must be < 1",
        "— ↑ see above",
        "↓ see below",
        "⬆ from 80",
        "at a load as high as possible",
        "(lower is better), at a load as high as possible",
        "more: better docs",
        "; target at least 90%",
    ],
)
def test_words_that_may_be_about_something_else_say_nothing_of_a_metric(tmp_path: Path, said: str) -> None:
    """A spec that was right was invalid then, or was done too early."""
    spec = read(
        tmp_path, f"---\nmetric: {{name: s, target: 600, direction: lower}}\n---\n# T\n## Metrics\n- **Primary**: s {said}\n"
    )
    assert (spec.metrics, spec.warnings) == ((Metric("s", target=600.0),), ())
    (metric,) = read(tmp_path, f"# T\n## Metrics\n- **Primary**: s {said}\n").metrics
    assert (metric.direction, metric.target) == (Direction.LOWER, 0.0)


def test_a_target_that_is_not_to_be_reached_itself_is_only_told_where_that_is_something_else(tmp_path: Path) -> None:
    assert read(tmp_path, "# T\n## Metrics\n- **Primary**: p95 (target < 100)\n").warnings == ()


@pytest.mark.parametrize(
    ("said", "told"), [("< 1", "<"), ("(target: below 1)", "below"), ("(target < 1)", "<"), ("<= 1", ""), ("(target 1)", "")]
)
def test_a_target_that_is_not_to_be_reached_itself_is_told(tmp_path: Path, said: str, told: str) -> None:
    """One failure was at the target of `failures < 1`."""
    spec = read(tmp_path, f"# T\n## Metrics\n- **Primary**: failures {said}\n")
    assert spec.metrics == (Metric("failures", target=1.0),)
    words = f"Line 3: 1 itself is at the target of failures, though `{told}` is said."
    assert spec.warnings == ((words,) if told else ())


@pytest.mark.parametrize("target", ["1,000", "1 000", "1_000", "1,5", "1/3", "50-60", "50ms", "5%", "~50", "0x10", "1e400", "−5"])
@pytest.mark.parametrize("line", ["- **Primary**: x (higher is better), target {}", "- Primary: x (lower, target {}, ms)"])
def test_a_target_in_prose_that_is_no_plain_number_is_told_and_never_read_in_part(tmp_path: Path, line: str, target: str) -> None:
    with pytest.raises(SpecError, match=re.escape(f"the target `{target}` of `x`")):
        read(tmp_path, f"# T\n## Metrics\n{line.format(target)}\n")
    front = "---\nmetric: {name: x, target: 7}\n---\n"
    assert read(tmp_path, f"{front}# T\n## Metrics\n- Primary: x (target {target})\n").metrics == (Metric("x", target=7.0),)


@pytest.mark.parametrize("number", ["1,000", "1,500", "1,5", "1,000 ms"])
def test_a_number_with_a_comma_is_not_its_first_part(tmp_path: Path, number: str) -> None:
    cut = number.partition(",")[2]
    with pytest.raises(SpecError, match=f"found `{cut}` behind a comma, expected a number without a comma"):
        read(tmp_path, f"---\nmetric: {{name: x, target: {number}}}\n---\n# T\n")


@pytest.mark.parametrize("named", ["resources: {1gpu: }", "resources:\n  cpu: 1\n  1gpu:"])
def test_a_key_that_begins_with_a_digit_and_stands_behind_no_comma_is_no_number_s_rest(tmp_path: Path, named: str) -> None:
    assert read(tmp_path, f"---\n{named}\n---\n# T\n").title == "T"


def test_a_name_that_begins_with_a_digit_is_one_of_a_list(tmp_path: Path) -> None:
    spec = read(tmp_path, "# T\n## Metrics\n- **Primary**: x (lower is better)\n- **Monitor**: ok,4xx,5xx\n")
    assert [metric.name for metric in spec.metrics] == ["x", "ok", "4xx", "5xx"]


def test_a_goal_that_counts_something_is_no_target(tmp_path: Path) -> None:
    text = "# T\n## Metrics\n- **Primary**: n (lower, goal 5)\n- **Secondary**: ms (goal 95th percentile), kb (goal: 1st)\n"
    assert [(metric.name, metric.target) for metric in read(tmp_path, text).metrics] == [("n", 5.0), ("ms", None), ("kb", None)]


@pytest.mark.parametrize(("said", "meant"), [("min_effect: 5", "0.05"), ("min_effect: 1", "0.01"), ("min_effect: 0.5", "")])
def test_an_effect_that_was_meant_in_percent_is_told(tmp_path: Path, said: str, meant: str) -> None:
    """5 is 500 %: every change was discarded as too small, without a word."""
    told = read(tmp_path, f"---\nmode: optimize\nmetric: {{name: ms, {said}}}\n---\n# T\n").misspelt
    assert [line.partition(" Did you mean ")[2] for line in told] == ([f"`min_effect: {meant}`?"] if meant else [])


def test_what_names_no_metric_is_prose(tmp_path: Path) -> None:
    text = "# T\n## Metrics\nWe count `things`.\n- **Primary**: <name> (<unit>, lower is better)\n- **Other**: `x`\n"
    text += "```\n- **Primary**: z\n```\n"
    assert read(tmp_path, text).metrics == ()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("- p95: target 100, lower is better", True),
        ("| name | limit |\n|---|---|\n| p95 | < 100 |", True),
        ("- **Primary (p95)**: higher is better", True),
        ("Get `p95` below 100.", True),
        ("It prints a line for each of the 12 cases.", False),
        ("The benchmark counts failures.", False),
    ],
)
def test_a_metrics_section_in_which_none_is_read_is_told(tmp_path: Path, said: str, told: bool) -> None:
    """Every number that was printed had to reach 0, and nobody knew why."""
    spec = read(tmp_path, f"# T\n## Metrics\n{said}\n")
    assert (spec.metrics, len(spec.misspelt)) == ((), told)
    assert read(tmp_path, f"---\nmetric: {{name: p95, target: 1}}\n---\n# T\n## Metrics\n{said}\n").warnings == ()


def test_a_lower_metric_without_target_means_zero_and_says_so(tmp_path: Path) -> None:
    spec = read(tmp_path, "---\nmetric: failures\n---\n# T\n")
    assert spec.metrics == (Metric("failures", target=0.0),)
    assert "has no target" in spec.warnings[0]


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("{name: coverage, target: 90}", True),
        ("{name: tests_passed, guard: true}", True),
        ("{name: coverage, target: 90, direction: lower}", False),
        ("{name: tests_passed, target: 0}", False),
        ("{name: error_score, target: 5}", False),
        ("{name: score, target: 5}", False),
        ("{name: missing_coverage, target: 5}", False),
        ("{name: line_coverage_pct, target: 90}", True),
        ("{name: pass_time, target: 5}", False),
        ("{name: bypasses, target: 5}", False),
    ],
)
def test_a_metric_that_most_likely_is_to_grow_and_has_no_direction_is_told(tmp_path: Path, metric: str, told: bool) -> None:
    """70 of 90 % were at target, and the task converged without an agent; as a guard nothing but less was let through."""
    spec = read(tmp_path, f"---\nmetrics: [{metric}, {{name: n, target: 0}}]\n---\n# T\n")
    assert [warning.partition(" Did you mean ")[2] for warning in spec.misspelt] == (["`direction: higher`?"] if told else [])


def test_a_higher_metric_needs_a_target(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="direction higher and no target"):
        read(tmp_path, "---\nmetric: {name: score, direction: higher}\n---\n# T\n")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("p95: 100", "target 100"),
        ("p95 = 0.5 (lower)", "target 0.5"),
        ("p95 → at most 100 ms", "target 100"),
        ("p95 (target: TBD)", "target NUMBER"),
        ("p95: 0", ""),
        ("p95 (lower is better, 5 runs)", ""),
    ],
)
def test_a_target_that_is_not_read_as_one_is_told_where_0_is_taken(tmp_path: Path, said: str, meant: str) -> None:
    """0 had to be reached, and of many tasks at a glance nobody saw that."""
    told = read(tmp_path, f"# T\n## Metrics\n- **Primary**: {said}\n- **Secondary**: coverage\n").misspelt
    assert [warning.partition(" 0 is taken. Did you mean ")[2] for warning in told] == ([f"`{meant}`?"] if meant else [])


def test_a_guard_alone_decides_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="only guards"):
        read(tmp_path, "---\nmetrics: [{name: errors, guard: true}]\n---\n# T\n")


def test_optimizing_needs_no_target(tmp_path: Path) -> None:
    spec = read(tmp_path, "---\nmode: optimize\nmetric: {name: score, direction: higher}\n---\n# T\n")
    assert spec.metrics == (Metric("score", Direction.HIGHER),)
    assert spec.warnings == ()


def test_the_last_config_line_of_a_log_counts_and_broken_lines_are_skipped(tmp_path: Path) -> None:
    log = [
        config(metricName="old"),
        "{broken config",
        '["config"]',
        '{"type":"config"}',
        config(target_value=4),
        '{"run":1,"metric":"config"}',
    ]
    assert read(tmp_path, "# T\n", *log).metrics == (Metric("total_ms", target=4.0, unit="ms"),)


@pytest.mark.parametrize("odd", [{"metricName": "two words"}, {"metricName": ""}, {"metricName": 3}])
def test_a_config_line_without_a_usable_name_says_nothing(tmp_path: Path, odd: dict[str, Any]) -> None:
    assert read(tmp_path, "# T\n", config(**odd)).metrics == ()


@pytest.mark.parametrize("target", [None, "5", True, float("inf"), 10**400])
def test_a_target_in_the_log_that_is_no_number_is_not_used(tmp_path: Path, target: object) -> None:
    spec = read(tmp_path, "# T\n", config(targetValue=target, bestDirection="sideways", metricUnit=""))
    assert spec.metrics == (Metric("total_ms", target=0.0),)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\n" * 1000])
def test_a_log_that_holds_nothing_does_no_harm(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "autoresearch.jsonl").write_bytes(content)
    assert read(tmp_path, "# T\n").metrics == ()


def test_a_log_that_is_no_file_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.jsonl").mkdir()
    assert read(tmp_path, "# T\n").metrics == ()


@pytest.mark.parametrize(
    "text",
    [
        "## Success metrics\n- **Primary**: p95 (target 120)\n",
        "## 2. Key Metrics 🎯\n- p95 latency < 120 ms\n",
        "**Primary metric:** `p95` (lower is better, target 120)\n",
        "**Metric:** p95 (lower is better)\n**Target:** 120\n",
        "## Benchmark\n- **metric:** `p95`\n- **direction:** lower is better\n",
        "| **Metric** | `p95` — of all |\n|---|---|\n| **Direction** | lower is better |\n",
        "## Objective\n1. **p95** (ms, lower is better) — of all\n",
        "## Metric: p95 (lower is better, target 120)\n",
        "## Acceptance criteria\n- tests pass\n- `p95` <= 120.\n",
        "## Success criteria\n- [ ] p95 must be at most 120\n",
    ],
)
def test_a_metric_that_stands_where_none_is_read_is_told(tmp_path: Path, text: str) -> None:
    """Every printed number had to reach 0, and nothing said so: attempts that were at 120 were failures."""
    spec = read(tmp_path, f"# T\nDo it.\n\n{text}")
    assert (spec.metrics, [warning.partition("every ")[2] for warning in spec.misspelt]) == (
        (),
        ["printed number must reach 0. Did you mean `## Metrics`?"],
    )
    assert read(tmp_path, f"---\nmetric: p95\n---\n# T\n{text}").misspelt == ()


def test_a_criterion_that_asks_for_none_or_for_more_than_a_number_is_not_taken_for_a_metric(tmp_path: Path) -> None:
    said = "- failures <= 0\n- Python >= 3.11\n- lists > 10 entries are cut\n- no file is > 5 MB\n"
    assert read(tmp_path, f"# T\n## Acceptance criteria\n{said}").warnings == ()


def test_prose_about_metrics_is_not_taken_for_one(tmp_path: Path) -> None:
    assert (
        read(
            tmp_path, "# T\n## Better metrics: how they are printed\nOn a line.\n```\nif x < 5\n```\nPrimary: the parser\n"
        ).warnings
        == ()
    )


def test_a_task_to_optimize_says_how_sure_it_wants_to_be_and_when_it_ends(tmp_path: Path) -> None:
    spec = read(tmp_path, "---\nmode: optimize\nmetric: ms\nalpha: 0.05\nplateau: 3\n---\n# T\n")
    assert (spec.mode, spec.alpha, spec.plateau, spec.warnings) == (Mode.OPTIMIZE, 0.05, 3, ())
    assert specfile.from_json(specfile.to_json(spec)) == spec


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mode: best", "found `mode: best`, expected converge or optimize"),
        ("mode: optimize", "found `mode: optimize` without a metric"),
        ("mode: optimize\nmetrics: [{name: kb, guard: true}]", "found `mode: optimize` without a metric that is no guard"),
        ("alpha: 0", "found `alpha: 0`, expected at least 0.0001"),
        ("alpha: 0.00005", "found `alpha: 0.00005`, expected at least 0.0001"),
        ("alpha: 0.6", "found `alpha: 0.6`, expected at most 0.5"),
        ("alpha: no", "found `alpha: no`, which YAML reads as false, expected a number"),
        ("plateau: 0", "found `plateau: 0`, expected at least 1"),
        ("plateau: 2.5", "found `plateau: 2.5`, expected a whole number"),
    ],
)
def test_what_cannot_be_meant_by_it_is_shown_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        read(tmp_path, f"---\n{line}\n---\n# T\n")
    assert told in str(error.value)
    assert "autoresearch.md:2:" in str(error.value)


def test_keys_that_do_nothing_in_the_tasks_mode_are_told(tmp_path: Path) -> None:
    assert [line.split()[0] for line in read(tmp_path, "---\nalpha: 0.1\nplateau: 3\n---\n# T\n").warnings] == [
        "alpha",
        "plateau",
    ]
    told = read(tmp_path, "---\nmode: optimize\nmetric: ms\nmax_failures: 3\n---\n# T\n").warnings
    assert ["`plateau` says when it ends" in line for line in told] == [True]
