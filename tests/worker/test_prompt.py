from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.gates import Mode as GateMode
from orchestrator.core.outcome import AgentEnd
from orchestrator.core.record import Attempt, Record, Result
from orchestrator.core.spec import Direction, Metric, Mode, Spec
from orchestrator.errors import OrchestratorError
from orchestrator.store import specfile, templates
from orchestrator.store.layouts import Evaluator
from orchestrator.worker import prompt
from orchestrator.worker.prompt import Conflict, Part

FILE = Evaluator(path="benchmark.py")
RECORD = Record("id", "fix-auth", 1, "fix-auth", branch="orchestrator/fix-auth")
SPEC = Spec(title="Fix the login", goal="No login test fails.", metrics=(Metric("failures", target=0.0),))


def build(
    spec: Spec = SPEC,
    record: Record = RECORD,
    *,
    feedback: str = "",
    worktree: Path = Path("/nowhere"),
    evaluator: Evaluator = FILE,
) -> str:
    return prompt.build(spec, record, number=3, feedback=feedback, worktree=worktree, evaluator=evaluator)


def test_it_says_what_is_wanted_where_and_how_it_is_measured() -> None:
    spec = replace(
        SPEC,
        acceptance="- every test passes",
        scope=("src/**", "tests/**"),
        off_limits=("src/vendor/**",),
        constraints="Python 3.11 only.",
        notes="The parser is slow.",
    )
    text = build(spec)
    wanted = (
        "# Fix the login",
        "No login test fails.",
        "- every test passes",
        "- `src/**`",
        "- `src/vendor/**`",
        "Python 3.11 only.",
    )
    for words in (*wanted, "The parser is slow.", "attempt 3", "orchestrator/fix-auth", "$ORCH_TASK_DIR/benchmark.py", "sealed"):
        assert words in text


def test_a_conflict_has_words_of_its_own_with_what_the_base_brought() -> None:
    conflict = Conflict("main", "b" * 40, "a" * 40, ("todo.txt", "gone.txt"), ("todo.txt",), ("1f2e3d4 Faster",))
    text = prompt.build(
        SPEC, RECORD, number=4, feedback="", worktree=Path("/nowhere"), evaluator=FILE, part=Part(conflict=conflict)
    )
    for words in ("# Resolve a conflict: Fix the login", "`todo.txt` (with markers)", "`gone.txt` (without)", "- 1f2e3d4 Faster"):
        assert words in text
    assert "No login test fails." in text
    assert "## What the base brought" not in prompt.build(
        SPEC,
        RECORD,
        number=4,
        feedback="",
        worktree=Path("/nowhere"),
        evaluator=FILE,
        part=Part(conflict=replace(conflict, brought=())),
    )


@pytest.mark.parametrize(
    "globs", [{"scope": ("src/**",)}, {"off_limits": ("src/vendor/**",)}, {"scope": ("a",), "off_limits": ("b",)}]
)
@pytest.mark.parametrize(
    ("mode", "told"),
    [("block", "makes the whole attempt fail"), ("warn", "a person is shown it"), ("off", "Nothing enforces it")],
)
def test_it_says_once_what_becomes_of_changes_out_of_scope_as_that_is_enforced(
    globs: dict[str, tuple[str, ...]], mode: str, told: str
) -> None:
    text = build(replace(SPEC, enforcement=GateMode(mode), **globs))
    assert text.count(told) == 1
    assert ("makes the whole attempt fail" in text) is (mode == "block")


def test_an_optimum_of_which_more_is_asked_need_not_become_better() -> None:
    spec = replace(SPEC, mode=Mode.OPTIMIZE, metrics=(Metric("ms"),))
    assert "kept only if it makes that better" in build(spec)
    asked = build(spec, replace(RECORD, demand="More, please."))
    assert "make `ms` no worse" in asked
    assert "kept only if" not in asked


def more(text: str) -> str:
    """What a prompt tells beside the known parts of a spec."""
    return text.partition("## More about the task\n")[2].partition("\n## When you are done")[0].strip()


def test_what_a_spec_says_outside_of_its_known_parts_reaches_the_agent(tmp_path: Path) -> None:
    """'Never use the network' between title and goal, and a limit that is no path, were told to nobody."""
    (tmp_path / "autoresearch.md").write_text(
        "# T\n\nNever use the network.\n\n## Goal\nFaster.\n\n## Off limits\n- whatever a customer sees\n- `docs/**`\n\n"
        "## Scope\n- `src/**`\n\n## Metrics\nCounted by hand.\n\n# Approach\nBegin with n.\n### First\n\n## Open\nWhy?\n"
    )
    text = build(specfile.read(tmp_path))
    assert more(text) == (
        "Never use the network.\n\n### Off limits\n- whatever a customer sees\n- `docs/**`\n\n### Metrics\nCounted by hand.\n\n"
        "## Approach\nBegin with n.\n#### First\n\n### Open\nWhy?"
    )
    assert text.count("- `src/**`") == text.count("Faster.") == 1


def test_paths_with_remarks_are_told_once_and_where_paths_belong(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.md").write_text(
        "# T\n\n## Goal\nFaster.\n\n## Scope\nThe core only:\n- `src/**` \u2014 the parser\n- lib/a.py (its table)\n\n"
        "## Off limits\n- `docs/**`: generated\n"
    )
    text = build(specfile.read(tmp_path))
    assert "## Files you may change\nThe core only:\n- `src/**` \u2014 the parser\n- lib/a.py (its table)\n" in text
    assert "## Files you must not change\n- `docs/**`: generated\n" in text
    assert more(text) == ""


def test_what_counts_is_told_where_a_section_with_remarks_says_another_thing(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.md").write_text(
        "---\nscope: [src/**]\n---\n# T\n\n## Goal\nFaster.\n\n## Scope\n- `src/**` \u2014 the parser\n- `lib/**` \u2014 its table\n"
    )
    text = build(specfile.read(tmp_path))
    assert "## Files you may change\n- `src/**`\n\n" in text
    assert more(text) == "### Scope\n- `src/**` \u2014 the parser\n- `lib/**` \u2014 its table"


def test_so_does_a_section_before_which_a_key_of_the_same_name_goes(tmp_path: Path) -> None:
    """`goal:` or `off_limits:` as a key and another `## Goal` or list of paths below it: these were told to nobody."""
    (tmp_path / "autoresearch.md").write_text(
        "---\ngoal: Faster.\noff_limits: [docs/**]\nscope: [src/**, lib/**]\n---\n# T\n\n## Goal\nAnd keep the order.\n\n"
        "## Off limits\n- `secrets/**`\n\n## Scope\n- `lib/**`\n"
    )
    text = build(specfile.read(tmp_path))
    assert more(text) == "### Goal\nAnd keep the order.\n\n### Off limits\n- `secrets/**`"
    assert text.count("Faster.") == text.count("`lib/**`") == 1


def test_sections_with_nothing_in_them_are_left_out() -> None:
    headings = [line for line in build().splitlines() if line.startswith("## ")]
    assert headings == ["## Goal", "## How the result is measured", "## When you are done"]


def test_the_numbers_stand_in_a_table_with_their_targets() -> None:
    spec = replace(
        SPEC,
        metrics=(
            Metric("failures", target=0.0),
            Metric("speed", Direction.HIGHER, target=9.5, tolerance=0.5, unit="ops"),
            Metric("size", guard=True),
            Metric("heap", guard=True, tolerance=200, min_effect=0.05),
            Metric("shown"),
        ),
    )
    record = replace(RECORD, baseline={"failures": 12, "speed": 1.25}, best={"failures": 3}, values={"failures": 4})
    lines = build(spec, record).splitlines()
    assert "| failures | lower | 12 | 3 | 4 | <= 0 |" in lines
    assert "| speed (ops) | higher | 1.25 | - | - | >= 9.5 (tolerance 0.5) |" in lines
    assert "| size | lower | - | - | - | must not get worse |" in lines
    assert "| heap | lower | - | - | - | must not get worse (tolerance 200, min_effect 5 %) |" in lines
    assert "| shown | lower | - | - | - | - |" in lines


def test_a_metric_s_name_opens_no_column_of_the_table() -> None:
    text = build(replace(SPEC, metrics=(Metric("p|q", target=0.0, unit="a|b"),)), replace(RECORD, baseline={"p|q": 7}))
    assert "| p\\|q (a\\|b) | lower | 7 | - | - | <= 0 |" in text


def test_without_declared_metrics_the_printed_ones_must_reach_0() -> None:
    assert "| errors | lower | 7 | - | - | <= 0 |" in build(replace(SPEC, metrics=()), replace(RECORD, baseline={"errors": 7}))


def test_of_thousands_of_printed_metrics_those_are_told_that_are_not_there_yet() -> None:
    """All of them would be more than a command line takes."""
    values = {**{f"done{number}": 0.0 for number in range(5000)}, "left": 1.0}
    text = build(replace(SPEC, metrics=()), replace(RECORD, baseline=values, values=values))
    assert "| left | lower | 1 | - | 1 | <= 0 |\n| done0 |" in text
    assert "The benchmark prints 4,901 more." in text
    assert len(text) < 20_000


def test_what_was_tried_and_how_it_ended_is_told_the_newest_ones() -> None:
    def attempt(number: int) -> Attempt:
        return Attempt(
            number, "exec", AgentEnd.FINISHED, Result.UNCHANGED, f"detail\n{number}", {"failures": 4.0}, commit=f"{number:040x}"
        )

    text = build(record=replace(RECORD, history=tuple(attempt(number) for number in range(1, 16))))
    assert "- Attempt 15 (commit 000000000000): the agent finished; no-improvement; failures 4; detail 15" in text
    assert "5 earlier ones are not listed" in text
    assert "Attempt 5 " not in text


def test_the_end_of_the_last_failure_is_quoted_so_that_it_can_break_nothing() -> None:
    text = build(feedback="x" * 50_000 + "\n## Goal\n```\n\x1b[31mAssertionError: 2 != 3\x1b[0m\x00")
    assert "AssertionError: 2 != 3" in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "````text" in text
    assert len(text) < 10_000


def test_dollar_signs_in_a_task_are_left_alone() -> None:
    assert "costs $5, set ${HOME} and $goal" in build(replace(SPEC, goal="costs $5, set ${HOME} and $goal"))


def test_sections_of_the_task_that_have_no_place_of_their_own_come_along() -> None:
    body = """# Fix
## Goal
known
## Background
The history.
### Detail
deep
```sh
## not a heading
```
## Notes
known too
## Links <!-- a hint -->
<!-- hidden
## hidden -->
See there.
"""
    text = build(replace(SPEC, goal="known", notes="known too", body=body))
    assert "### Background\nThe history.\n#### Detail\ndeep\n```sh\n## not a heading\n```" in text
    assert "### Links" in text
    assert "See there." in text
    assert not any(words in text for words in ("hidden", "a hint"))
    assert text.count("known") == len(("goal", "notes"))


def test_the_repository_s_own_rules_are_pointed_to(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Be kind.")
    (tmp_path / "CLAUDE.md").mkdir()
    text = build(worktree=tmp_path)
    assert "Read and follow `AGENTS.md` in the worktree." in text
    assert "CLAUDE" not in text


def test_a_command_and_the_checks_are_named() -> None:
    text = build(evaluator=Evaluator(command="make bench", checks="checks.sh"))
    assert "The command `make bench`" in text
    assert "`$ORCH_TASK_DIR/checks.sh` must end with exit code 0" in text


def test_a_task_without_any_words_still_has_a_goal() -> None:
    text = build(Spec())
    assert text.startswith("# fix-auth\n")
    assert "Bring the measured numbers of `fix-auth` to their targets." in text


def test_a_huge_task_fits_into_one_argument_of_a_command_line() -> None:
    long = "wörd " * 200_000
    spec = Spec(title="T", goal=long, acceptance=long, constraints=long, notes=long, body=f"## More\n{long}")
    text = build(spec, feedback=long)
    assert len(text.encode()) < 128 * 1024
    assert "all of it is in $ORCH_TASK_DIR" in text


@pytest.mark.parametrize("template", ["$title $unknown", "no variable at all", "$title $", "$title ${}"])
def test_a_template_that_does_not_fit_its_values_is_an_error(template: str) -> None:
    with pytest.raises(OrchestratorError, match="don't agree"):
        prompt.render(template, {"title": "x"})


def test_a_missing_template_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(OrchestratorError, match=r"no-such\.md is missing") as caught:
        templates.read("no-such.md")
    assert "Install" in caught.value.hint
