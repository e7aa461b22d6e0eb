"""Reading specs of every layout into the same data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.core.gates import Mode
from orchestrator.core.limits import task_limits
from orchestrator.core.settings import Settings
from orchestrator.core.spec import RESERVED, UNLIMITED, Direction, Kind, Land, Metric, Review, Spec
from orchestrator.errors import SpecError
from orchestrator.store import editing, specfile

SAMPLES = Path(__file__).parent / "samples"


def spec_of(tmp_path: Path, text: str) -> Spec:
    (tmp_path / "autoresearch.md").write_text(text, encoding="utf-8")
    return specfile.read(tmp_path)


def test_front_matter_and_sections_are_read_together() -> None:
    spec = specfile.read(SAMPLES / "flat")
    assert spec.title == "Fix the login"
    assert spec.goal == "Users stay logged in for a day."
    assert spec.metrics == (Metric("failures", Direction.LOWER, target=0.0),)
    assert (spec.scope, spec.off_limits) == (("src/**", "tests/**"), ("tests/golden/**",))
    assert (spec.depends_on, spec.timeout, spec.priority) == (("clean-up",), 900.0, 5)
    assert (spec.acceptance, spec.constraints, spec.notes) == ("- `pytest` passes", "No new dependency.", "The clock is UTC.")
    assert spec.body.startswith("# Login")
    assert spec.warnings == ()


def test_every_key_of_the_contract_is_known() -> None:
    spec = specfile.read(SAMPLES / "full")
    assert (spec.warnings, spec.unknown) == ((), {})
    assert spec.metrics == (
        Metric("latency_ms", target=100.0, tolerance=5.0, min_effect=0.01, kind=Kind.NOISY, unit="ms"),
        Metric("errors", guard=True),
        Metric("throughput", Direction.HIGHER, target=1000.0),
    )
    assert (spec.title, spec.goal, spec.labels, spec.priority) == ("Everything", "All keys of the contract", ("a", "b"), -3)
    assert (spec.repo, spec.base, spec.setup, spec.env) == (
        "../product",
        "develop",
        "make deps",
        {"PORT": "3000", "MODE": "fast"},
    )
    assert (spec.benchmark, spec.converge, spec.scope, spec.off_limits) == (
        "./scripts/bench --fast",
        5,
        ("src/**", "b"),
        ("docs/**",),
    )
    assert [(gate.name, gate.command, gate.means) for gate in spec.gates] == [
        ("test", "make test", Mode.BLOCK),
        ("lint", "make lint", Mode.WARN),
    ]
    assert (spec.enforcement, spec.review) == (Mode.BLOCK, Review.NONE)
    assert (spec.agent, spec.model, spec.effort, spec.tty, spec.executor) == ("exec", "big", "high", True, "local")
    assert (spec.max_failures, spec.timeout, spec.benchmark_timeout) == (7, 7200.0, 90.0)
    assert (spec.budget_attempts, spec.budget_minutes, spec.land) == (9, 30.0, Land.BRANCH)
    assert (spec.budget_usd, spec.budget_tokens) == (3.0, 100_000)
    assert (spec.fallback, spec.phases, spec.skills) == (("other",), ("do-task",), ("x",))
    assert set(spec.reserved) == RESERVED | {"metrics.throughput.samples", "files.reads"}


@pytest.mark.parametrize(("said", "tokens"), [("2M", 2_000_000), ("500 k", 500_000), ("12", 12), ('"3m"', 3_000_000)])
def test_a_budget_of_tokens_may_be_short(tmp_path: Path, said: str, tokens: int) -> None:
    assert spec_of(tmp_path, f"---\nbudget: {{tokens: {said}}}\n---\n# x\n").budget_tokens == tokens


def test_a_pi_session_is_read_with_its_log(tmp_path: Path) -> None:
    spec = specfile.read(SAMPLES / "pi-flat")
    assert (spec.title, spec.goal) == ("parser speed", "Make the parser faster.")
    primary, *secondary = spec.metrics
    assert primary == Metric("total_µs", Direction.LOWER, target=10.0, unit="µs")
    assert [(metric.name, metric.target) for metric in secondary] == [("schema_µs", None), ("kitchen_sink_µs", None)]
    assert spec.scope == ("src/lexer.rs", "src/ast/")
    assert spec.off_limits == ("tests/",)
    assert spec.notes == "- (baseline established)"
    assert ["off_limits" in warning for warning in spec.warnings] == [True]


def test_an_auto_session_is_read_and_wins_over_flat_files(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "pi-auto", tmp_path / "task")
    (tmp_path / "task/autoresearch.md").write_text("# Flat\n")
    spec = specfile.read(tmp_path / "task")
    assert specfile.path_of(tmp_path / "task") == tmp_path / "task/.auto/prompt.md"
    assert (spec.title, spec.goal) == ("smaller bundle", "Shrink the bundle.")
    assert spec.metrics == (Metric("bundle_kb", Direction.LOWER, target=200.0, unit="kb"),)


def test_a_log_that_pi_began_does_not_hide_the_flat_spec(tmp_path: Path) -> None:
    (tmp_path / ".auto").mkdir()
    (tmp_path / ".auto/log.jsonl").write_text("")
    assert spec_of(tmp_path, "# Flat\n").title == "Flat"


@pytest.mark.parametrize(
    "text", ["---\nmax_failures: infinite\n---\n# T\n", "---\nmax_failures: INF\n---\n# T\n", "# T\n**Retry limit:** Infinite\n"]
)
def test_failures_may_be_without_a_limit_as_in_the_settings(tmp_path: Path, text: str) -> None:
    spec = spec_of(tmp_path, text)
    assert spec.max_failures == UNLIMITED
    assert specfile.from_json(specfile.to_json(spec)) == spec
    assert task_limits(spec, Settings(max_failures=3)).max_failures is None
    assert task_limits(spec, Settings(max_failures=3)).max_attempts is None


def test_a_folder_of_the_relative_is_read_with_its_labelled_lines() -> None:
    spec = specfile.read(SAMPLES / "relative")
    assert (spec.model, spec.effort, spec.max_failures) == ("claude-opus-4", "high", 3)
    assert (spec.goal, spec.acceptance, spec.metrics) == ("Every command is documented.", "All gaps closed.", ())


def test_an_empty_front_matter_is_none() -> None:
    spec = specfile.read(SAMPLES / "empty-header")
    assert (spec.title, spec.goal) == ("Only a title", "Only a title")


def test_plain_data_and_back_is_the_same_spec() -> None:
    for folder in [path for path in SAMPLES.iterdir() if path.is_dir()]:
        spec = specfile.read(folder)
        assert specfile.from_json(json.loads(json.dumps(specfile.to_json(spec)))) == spec


def test_keys_without_a_value_count_as_not_written(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\ndraft:\npriority:\nmetric:\nscope:\nbudget: {minutes: }\n---\n# x\n")
    assert spec == Spec(title="x", goal="x", body="# x")


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(tmp_path: Path, newline: str) -> None:
    text = "\ufeff---\npriority: 2\n---\n# x\n\n## Goal\n\nAll\nof it\n".replace("\n", newline)
    (tmp_path / "autoresearch.md").write_bytes(text.encode())
    spec = specfile.read(tmp_path)
    assert (spec.priority, spec.goal) == (2, "All\nof it")


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("Goal", "goal"),
        ("Objective:", "goal"),
        ("**Goal**", "goal"),
        ("Acceptance", "acceptance"),
        ("Stop Conditions", "acceptance"),
        ("ACCEPTANCE CRITERIA", "acceptance"),
        ("Constraints ##", "constraints"),
        ("What’s Been Tried", "notes"),
        ("Notes", "notes"),
        ("2. Notes", "notes"),
        ("1.2) Constraints", "constraints"),
        ("IV. Goal", "goal"),
        ("3 — Goal", "goal"),
        ("📁 Notes (as of today)", "notes"),
        ("Notes 📁", "notes"),
        ("**Goal:** 🎯", "goal"),
        ("`Goal`", "goal"),
    ],
)
def test_heading_aliases_are_folded(tmp_path: Path, heading: str, field: str) -> None:
    assert getattr(spec_of(tmp_path, f"# T\n## {heading}\nthe text\n## Other\nnot this\n"), field) == "the text"


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("src/*.{py,ts}", "src/*.py`, `src/*.ts"),
        ("src/**, docs/**", "src/**`, `docs/**"),
        ("src/{a, b}/c", "src/a/c`, `src/b/c"),
        ("app/[id]/[...rest]/page.tsx", r"app/\[id\]/\[...rest\]/page.tsx"),
        ("pages/[slug].tsx", r"pages/\[slug\].tsx"),
        ("src/[ab].py", ""),
        ("src/[a]/x", ""),
        ("a,b.txt", ""),
        ("{{cookiecutter.name}}/x", ""),
        ("“src/**”", "src/**"),
        ("all", "*"),
        ("src/** - a.py", "src/**`, `a.py"),
        ("My file - copy.txt", ""),
        ("-\xa0src/**", "src/**"),
        ("src\\gen\\*.py", "src/gen/*.py"),
        (r"\!a/\[b\] \#1", ""),
        (r"a\*b\.py", ""),
    ],
)
@pytest.mark.parametrize("key", ["scope", "off_limits"])
def test_patterns_of_another_syntax_are_told_with_git_s(tmp_path: Path, key: str, pattern: str, meant: str) -> None:
    """As off_limits they matched nothing, and what they were to keep landed changed."""
    told = spec_of(tmp_path, f"---\n{key}: ['{pattern}']\n---\n# T\n").misspelt
    assert [line.partition(" Did you mean ")[2] for line in told] == ([f"`{meant}`?"] if meant else [])


@pytest.mark.parametrize(
    "heading",
    ["# Scope", "## 2. Scope", "### Scope", "## Files in scope (may be changed)", "##Scope", "##\xa0Scope", "##📁 Scope"],
)
def test_a_scope_of_another_level_or_with_a_number_is_one(tmp_path: Path, heading: str) -> None:
    """It was prose without a word, and work outside of it landed."""
    spec = spec_of(tmp_path, f"# T\nDo it.\n\n{heading}\n\n- `src/**`\n\n# Offlimits\n- `docs/**`\n## 3. Notes\nn\n")
    assert (spec.title, spec.goal, spec.notes, spec.scope, spec.off_limits) == ("T", "Do it.", "n", ("src/**",), ("docs/**",))


def test_a_line_that_begins_like_a_heading_without_a_blank_is_none_where_no_section_does(tmp_path: Path) -> None:
    said = "Keep\n#define X\n##foo bar\n##Scope of it\n"
    spec = spec_of(tmp_path, f"# T\n## Goal\n{said}\n## ~~Scope~~\n- `src/a.py`\n## Scope?\n- `src/a.py`")
    assert (spec.goal, spec.scope) == (said.strip(), ())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("## Constraints\n### Scope\n- `src/**`\n", "Scope"),
        ("## Goal\ng\n\n**Scope:** src/**, tests/**\n", "Scope"),
        ("## Constraints\n- **Off limits**: `docs/**`\n", "Off limits"),
        ("**Scope**\n\n- src/a.py\n", "Scope"),
        ("Scope:\n- src/a.py\n", "Scope"),
        ("## Scope of this work\n- `src/**`\n", "Scope"),
        ("## Scpoe\n- `src/**`\n", "Scope"),
        ("## Out of scope\n- `vendor/**`\n", "Off limits"),
        ("## Do not touch\n```\nvendor/**\n```\n", "Off limits"),
        ("## Files that must not be changed\n- vendor/**\n", "Off limits"),
        ("## Protected files\n- vendor/**\n", "Off limits"),
        ("## Files you may change\n- vendor/**\n", "Scope"),
        ("**Allowed files:** src/**\n", "Scope"),
    ],
)
def test_what_reads_like_a_scope_with_paths_and_is_none_is_told(tmp_path: Path, text: str, meant: str) -> None:
    spec = spec_of(tmp_path, f"# T\nDo it.\n\n{text}")
    assert (spec.scope, spec.off_limits) == ((), ())
    assert [warning.partition(" is read as prose. ")[2] for warning in spec.misspelt] == [f"Did you mean `## {meant}`?"]


@pytest.mark.parametrize(
    "text",
    [
        "# T\n## Out of scope\n- No new features.\n",
        "# T\n## Notes\n**Scope:** only the parser\n",
        "# T\n## Scope and risks\nSee `a/b`.\n",
        "# T\n## Goal\n```\n## Scope of it\n- `src/**`\n```\n",
        "---\nscope: [src/**]\n---\n# T\n**Scope:** src/**\n",
        "# T\n## Scope\n- `src/**`\n## Notes\n### Scope\n- `docs/**`\n",
        "# T\n**Microscopes:** a/b.py\n",
        "# T\n## OAuth scopes\n- `src/auth.py`\n",
        "# T\n## Score\n- `bench/score.py`\n## Soft limits\n- `etc/limits.conf`\n",
    ],
)
def test_prose_about_a_scope_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    assert spec_of(tmp_path, text).warnings == ()


@pytest.mark.parametrize(
    ("items", "meant"),
    [
        (
            "- Be quick.\n- Do not modify `tests/**` or docs.\n- Never touch anything in vendor/.",
            "off_limits: [tests/**, vendor/]",
        ),
        ("Don’t edit `setup.py`", "off_limits: [setup.py]"),
        (
            "- Never change `config.yaml` format\n- Don't edit `a.md` unless needed\n- Do not change the names in `src/api.py`\n- Never change `src/api.py`'s names\n- Never edit `config.timeout`\n- Never touch `/api/users`",
            "",
        ),
        ("- Never change behaviour, see docs/a.md", ""),
        ("```\ndo not edit tests/\n```", ""),
    ],
)
def test_files_that_constraints_forbid_are_told(tmp_path: Path, items: str, meant: str) -> None:
    """Only the agent was told, and work on them landed."""
    told = spec_of(tmp_path, f"# T\n## Constraints\n{items}\n").misspelt
    assert [warning.partition(" Did you mean ")[2] for warning in told] == ([f"`{meant}`?"] if meant else [])
    for key in ("off_limits: [x]", "off_limits: []", "scope: [src/**]"):
        assert spec_of(tmp_path, f"---\n{key}\n---\n# T\n## Constraints\n{items}\n").misspelt == ()


def test_of_files_that_constraints_forbid_those_are_told_that_nothing_else_keeps_the_work_from(tmp_path: Path) -> None:
    said = "- Don't modify `tests/**`.\n- Never edit `benchmark.sh`.\n- Don't touch `src/gen/`."
    (told,) = spec_of(tmp_path, f"---\nscope: [src/**]\n---\n# T\n## Constraints\n{said}\n").misspelt
    assert told.endswith(" Did you mean `off_limits: [src/gen/]`?")
    with pytest.raises(SpecError):
        spec_of(tmp_path, f"# T\n## Scope\n- `[z-a]/x`\n## Constraints\n{said}\n")


def test_a_second_section_with_a_remark_is_no_more_of_the_first(tmp_path: Path) -> None:
    """What is for later was in scope now, and the goal asked for what was only wished."""
    text = "# T\n## Goal\na\n## Goal (stretch)\nb\n## Scope (now)\n- a/**\n## Scope (later)\n- b/**\n## Goal\nc\n"
    spec = spec_of(tmp_path, text)
    assert (spec.goal, spec.scope, spec.warnings) == ("a\nc", ("a/**",), ())


def test_a_section_of_the_first_level_holds_the_headings_below_it(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "# Goal\na\n## Why\nb\n# Fix it\nc\n## Plan\nd\n## Notes\ne\n### Part\nf\n")
    assert (spec.title, spec.goal, spec.notes) == ("Fix it", "a\n## Why\nb", "e\n### Part\nf")


def test_underlined_headings_are_headings(tmp_path: Path) -> None:
    """They were prose without a word: every printed number had to reach 0, and work outside of the scope landed."""
    text = "Shrink it\n===\n\nGoal\n----\nBelow 200.\n\nMetrics\n--\n- **Primary**: kb (target 200)\n\nScope\n---\n- `a/**`\n\n"
    spec = spec_of(tmp_path, f"{text}Background\n----------\n- `b/**`\n")
    assert (spec.title, spec.goal, spec.scope, spec.warnings) == ("Shrink it", "Below 200.", ("a/**",), ())
    assert [(metric.name, metric.target) for metric in spec.metrics] == [("kb", 200.0)]
    assert editing.edit(spec.body, {"goal": "Below 100."}) == spec.body.replace("200.\n", "100.\n", 1)


@pytest.mark.parametrize("text", ["# T\n## Goal\nMake it fast\n---\nand small\n", "# T\n## Goal\na | b\n--|--\n1 | 2\n"])
def test_a_rule_below_a_sentence_and_a_table_make_no_heading(tmp_path: Path, text: str) -> None:
    assert spec_of(tmp_path, text).goal == text.partition("Goal\n")[2].strip()


def test_a_line_across_the_page_is_no_part_of_the_section_above_it(tmp_path: Path) -> None:
    """It stood in the message of the commit that lands, where much takes `---` for the message's end."""
    text = "# T\n\n---\n\n## Goal\n\nBelow 200.\n\n---\n\n## Notes\na\n\n---\n\nb\n\n***\n"
    spec = spec_of(tmp_path, text)
    assert (spec.goal, spec.notes) == ("Below 200.", "a\n\n---\n\nb")
    assert spec_of(tmp_path, "# T\n\nDo it.\n\n---\n## Notes\nn\n").goal == "Do it."
    below = "# T\n\n---\n\nDo it.\n\n---\n"
    assert spec_of(tmp_path, below).goal == "Do it."
    assert editing.edit(below, {"goal": "Do all."}) == below.replace("it", "all")
    assert editing.edit(text, {"goal": "Below 100."}) == text.replace("200", "100")


def test_headings_in_code_and_hints_in_comments_are_no_sections(tmp_path: Path) -> None:
    text = "# T\n## Goal\nreal\n```\n## Notes\nin code\n```\n<!-- hidden\n## Constraints\nhint\n-->\nmore"
    text += " <!-- x --> here\n### Part\ndeep\n"
    spec = spec_of(tmp_path, text)
    assert spec.goal == "real\n```\n## Notes\nin code\n```\nmore  here\n### Part\ndeep"
    assert (spec.notes, spec.constraints) == ("", "")


def test_text_below_the_title_is_the_goal_where_no_section_is(tmp_path: Path) -> None:
    assert spec_of(tmp_path, "# T\n\nDo this.\n- **Model:** m\n\n## Design\nno\n").goal == "Do this."


def test_a_heading_that_names_a_section_is_neither_title_nor_goal(tmp_path: Path) -> None:
    """The agent was asked for "Metrics", and a commit called so landed."""
    spec = spec_of(tmp_path, "# Metrics\n- **Primary**: kb (target 200)\n# Notes\nn\n")
    assert (spec.title, spec.goal, spec.notes) == ("", "", "n")
    with pytest.raises(SpecError, match="nothing to work towards"):
        spec_of(tmp_path, "# Metrics\n")


def test_a_key_goes_before_its_section(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\ngoal: key\nscope: [a/**]\n---\n# T\n## Goal\nsection\n## Scope\n- `b/**`\n")
    assert (spec.goal, spec.scope) == ("key", ("a/**",))


def test_a_key_with_an_empty_list_leaves_it_to_its_section(tmp_path: Path) -> None:
    """Work outside of the section's paths landed, since a template had `scope: []` above it."""
    spec = spec_of(tmp_path, "---\nscope: []\noff_limits: []\n---\n# T\n## Scope\n- `src/**`\n## Off limits\n- `docs/**`\n")
    assert (spec.scope, spec.off_limits) == (("src/**",), ("docs/**",))


@pytest.mark.parametrize(
    ("items", "scope"),
    [
        ("- `src/a.py` — the file\n- `b/**`, `c/*.js` and more", ("src/a.py", "b/**", "c/*.js")),
        ("- src/a.py\n- docs/**: words\n1. tests/", ("src/a.py", "docs/**", "tests/")),
        ("```\nsrc/**\nlib/**\n```", ("src/**", "lib/**")),
        ("- `src/**`\n- anything that helps", ()),
        ("Only the parser, please.", ()),
        ("Only these:\n\nsrc/a.py\nsrc/b.py, docs/**\n", ("src/a.py", "src/b.py", "docs/**")),
        ("- **`src/a.py`**\n- [`b.js`](../b.js) — the file\n- [ ] c/d.py (only f)", ("src/a.py", "b.js", "c/d.py")),
        ("- src/**/*.py,tests/**\n- src/*.py, a/{b/c,d/e}.py", ("src/**/*.py", "tests/**", "src/*.py", "a/{b/c,d/e}.py")),
        ("- `(a)/b.py` (x), `c.py`", ("(a)/b.py", "c.py")),
        ("- `a/` (all of `it`), `b/**`; `c.py` (see `d.py`) — for `e.py`", ("a/", "b/**", "c.py")),
        (
            "- `a/` (all), `b/**` may be made\n- `c.py`; `d.py` is what it makes\n- `e.py` or `f.py` as it is",
            ("a/", "c.py", "e.py"),
        ),
        ("- `a.py`, `b.py`, and `c.py`.", ("a.py", "b.py", "c.py")),
        ("- `a.py` holds the rules\n  — only the first\n- `b.py`\n  – `c.py` stays", ("a.py", "b.py")),
        ("- `src/a.py`\n- **Parser**: the rules", ()),
        ("In scope: the parser and its tests.\n\n- `src/a.py`", ("src/a.py",)),
        ("- \"src/a.py\"\n- 'b/**', <c.py>\n- “d.py” — why", ("src/a.py", "b/**", "c.py", "d.py")),
        ("• src/a.py\n• `b/**`", ("src/a.py", "b/**")),
        ("#define src/a.py", ()),
        ("See src/a.py for more.", ()),
        ("N/A", ()),
        ("The parser.\n\n***\n<br/>\n**Parser:**\n*None.*", ()),
        ("Described in\ndocs/a.md\n\nThe parser, all but\n`src/gen.py`", ()),
        ("- `src/a.py` — made by\n  tools/gen.py\n\nAnd:\ntests/a.py", ("src/a.py", "tests/a.py")),
    ],
)
def test_a_scope_section_is_enforced_only_where_every_item_is_a_path(tmp_path: Path, items: str, scope: tuple[str, ...]) -> None:
    spec = spec_of(tmp_path, f"# T\n## Scope\n{items}\n")
    assert spec.scope == scope
    assert bool(spec.warnings) == any(sign in items for sign in ("anything", "**Parser**: ", "{", "all but", "See", "#"))


@pytest.mark.parametrize(("heading", "key"), [("Scope", "scope"), ("Off limits", "off_limits")])
def test_paths_that_stand_in_items_of_prose_are_told_to_who_looks_at_many_tasks(tmp_path: Path, heading: str, key: str) -> None:
    """Only `why` told that tests/** could be changed, and work on it landed."""
    (told,) = spec_of(tmp_path, f"# T\n## {heading}\n- 🚫 Don't modify `tests/**`, please\n- \U0001f4c1 `a.lock`\n").misspelt
    assert told.endswith(f"Did you mean `{key}: [tests/**, a.lock]`?")


def test_a_path_in_scope_is_not_proposed_as_off_limits(tmp_path: Path) -> None:
    """Who had followed that would have forbidden the one file that the task is about."""
    spec = spec_of(tmp_path, "# T\n## Scope\n- `src/a.py`\n## Off limits\n- Other files unless `src/a.py` needs them\n")
    assert (len(spec.warnings), spec.misspelt) == (1, ())


def test_paths_that_one_item_keeps_from_being_a_scope_are_told_to_who_looks_at_many_tasks(tmp_path: Path) -> None:
    told = spec_of(tmp_path, "# T\n## Scope\n- `src/**`\n- `a`\n- anything that helps\n").misspelt
    assert [line.partition(" Did you mean ")[2] for line in told] == ["`scope: [src/**, a]`?"]
    assert spec_of(tmp_path, "# T\n## Scope\n- anything that helps\n").misspelt == ()


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("tags", ""),
        ("description", ""),
        ("targets", "metric.target"),
        ("dependencies", "depends_on"),
        ("blocked-by", "depends_on"),
        ("out_of_scope", "off_limits"),
        ("Allowed_Paths", "scope"),
        ("maxRetries", "max_failures"),
        ("base_branch", "base"),
    ],
)
def test_a_key_of_another_tool_is_not_taken_for_a_metric_s(tmp_path: Path, key: str, meant: str) -> None:
    """Tags were proposed as `metric.target`, and status told so of each folder that has them."""
    (told,) = spec_of(tmp_path, f"---\n{key}: [a]\n---\n# T\n").warnings
    assert told.partition(" Did you mean ")[2] == (f"`{meant}`?" if meant else "")


@pytest.mark.parametrize(("key", "meant"), [("goal: 90", "target"), ("threshold: 90", "target"), ("better: higher", "direction")])
@pytest.mark.parametrize("metric", ["metric: {{name: a.b, target: 1, {}}}", "metrics: [{{name: a.b, target: 1, {}}}]"])
def test_a_key_of_a_metric_that_others_call_so_is_told(tmp_path: Path, metric: str, key: str, meant: str) -> None:
    """0 was the target then, and lower was better; status said nothing."""
    (told,) = spec_of(tmp_path, f"---\n{metric.format(key)}\n---\n# T\n").misspelt
    assert told.endswith(f" Did you mean `{meant}`?")


@pytest.mark.parametrize("within", ["In scope", "In", "Included", "Allowed"])
@pytest.mark.parametrize("without", ["Out of scope", "Out", "Excluded", "Except", "Forbidden"])
def test_the_parts_of_a_scope_are_told_from_each_other_however_they_are_called(tmp_path: Path, within: str, without: str) -> None:
    """`src/gen/**` below 'Out' was in scope, and paths behind '**In scope:**' held nobody, without a word."""
    for text in (
        f"### {within}\n- src/**\n### {without}\n- src/gen/**\n",
        f"**{within}:** src/**\n**{without}:** src/gen/**\n",
        f"- **{within}**: src/**\n- **{without}**: src/gen/**\n",
    ):
        spec = spec_of(tmp_path, f"# T\n## Scope\n{text}")
        assert (spec.scope, [line[-28:] for line in spec.misspelt]) == (("src/**",), [" Did you mean `## Off limits`?"[-28:]])


@pytest.mark.parametrize("mark", ["### {}", "**{}:**", "- **{}**:", "{}:"])
def test_what_a_scope_says_is_out_of_it_is_not_in_it(tmp_path: Path, mark: str) -> None:
    """`docs/**` below 'Out of scope' could be changed, and that landed."""
    within, without = mark.format("In scope"), mark.format("Out of scope")
    spec = spec_of(tmp_path, f"# T\n## Scope\n{within}\n- `src/**`\n\n{without}\n- **`docs/**`**\n")
    assert spec.scope == ("src/**",)
    assert "Did you mean `## Off limits`?" in " ".join(spec.misspelt)


@pytest.mark.parametrize("said", ["Only `src/a.py`, please.", "| File |\n|---|\n| `src/a.py` |", "Files: and/or src/a.py."])
@pytest.mark.parametrize(("heading", "key"), [("Scope", "scope"), ("Off limits", "off_limits")])
def test_a_path_in_the_prose_of_a_scope_is_told(tmp_path: Path, heading: str, key: str, said: str) -> None:
    spec = spec_of(tmp_path, f"# T\n## {heading}\n{said}\n")
    assert (spec.scope, spec.off_limits) == ((), ())
    assert [line.partition(" Did you mean ")[2] for line in spec.misspelt] == [f"`{key}: [src/a.py]`?"]


@pytest.mark.parametrize(("said", "meant"), [("120000", "120s"), ("3600000", "3600s"), ("86400", ""), ("2000h", "")])
@pytest.mark.parametrize("key", ["timeout", "benchmark_timeout"])
def test_milliseconds_where_seconds_are_read_are_told(tmp_path: Path, key: str, said: str, meant: str) -> None:
    """A benchmark that hung, with 120000 as in the environment, would have stood there for a day and a half."""
    told = spec_of(tmp_path, f"---\n{key}: {said}\n---\n# T\n").misspelt
    assert [line.partition(" Did you mean ")[2] for line in told] == ([f"`{key}: {meant}`?"] if meant else [])


def test_unknown_keys_are_kept_and_the_known_one_is_proposed(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\nprioritty: 3\nmetric: {name: a, target: 0, traget: 1}\nx-team: [core]\n---\n# T\n")
    assert spec.unknown == {"prioritty": 3, "metric.traget": 1, "x-team": ["core"]}
    assert [warning for warning in spec.warnings if "`prioritty`" in warning and "`priority`" in warning]
    assert [warning for warning in spec.warnings if "`metric.traget`" in warning and "`target`" in warning]
    assert len(spec.warnings) == 3


@pytest.mark.parametrize(
    "text",
    [
        "# T\n---\nreview: required\n---\n",
        "<!-- vim: tw=80 -->\n---\nreview: required\n---\n# T\n",
        "%YAML 1.2\n---\nreview: required\n---\n# T\n",
        "———\nreview: required\n———\n# T\n",
        "----\nreview: required\n----\n# T\n",
        "+++\nreview = 'required'\n+++\n# T\n",
        "```yaml\nreview: required\n```\n# T\n",
        "```yaml\n---\nreview: required\n---\n```\n# T\n",
        "Here is your spec:\n\n---\nreview: required\n---\n# T\n",
        "Here it is:\n```markdown\n---\nreview: required\n---\n# T\n```\n",
        "---\npriority: 5\n---\n---\nreview: required\n---\n# T\n",
        "---\npriority: 5\n---\nreview: required\n---\n# T\n",
        "review: required\nscope: [src/**]\n---\n# T\n",
        "review: required\n\n# T\n",
        '{\n "review": "required"\n}\n# T\n',
    ],
)
def test_front_matter_in_the_wrong_place_or_marks_is_warned_about(tmp_path: Path, text: str) -> None:
    spec = spec_of(tmp_path, text)
    assert spec.warnings[0].startswith("`review` is read as prose")
    assert spec.misspelt == spec.warnings  # so that status and list tell of it, too


def test_a_spec_that_stands_in_a_block_of_code_as_a_whole_is_told(tmp_path: Path) -> None:
    """As a chat answers. Its scope held nobody to anything, and nothing said so."""
    told = "Line 3: `## Scope` is in a block of code and read as prose. Did you mean `## Scope` without the block?"
    assert spec_of(tmp_path, "```markdown\n# T\n## Scope\n- `src/**`\n```\n").misspelt == (told,)
    for quoted in ("sh\n# Metrics\necho METRIC n=1", "markdown\n## Goal\nAll pass."):
        assert spec_of(tmp_path, f"# T\nIt has to say\n```{quoted}\n```\n").warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "# T\n\n---\nNote: quick\n",
        "# T\n## Goal\n```\n---\nreview: required\n---\n```\n",
        "---\npriority: 5\n---\n# T\n```yaml\nenv: prod\n```\nis what the server has to read.\n",
        "---\npriority: 5\n---\nWhat the server has to read is\n```yaml\nenv: prod\n```\n",
        "# T\nIn config.yaml, set\n```yaml\ntimeout: 30\n```\n",
        "# T\nA page of the site begins so:\n\n```markdown\n---\ntitle: About\n---\n```\n",
        "# T\nBoth count.\n\n---\nmode: fast or small\n",
        "goal: all pass\n",
        "base: the class that all others are made of\nmode: fast or small\n",
        "# T\nreview: required\n",
        '# T\nIt takes\n{"review": 1}\n',
    ],
)
def test_a_line_across_the_prose_is_not_taken_for_front_matter(tmp_path: Path, text: str) -> None:
    assert spec_of(tmp_path, text).warnings == ()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("**Review:** required", "review: required"),
        ("- **Depends on**: set-up", "depends_on: set-up"),
        ("**Depends on:** set-up, more", "depends_on: [set-up, more]"),
        ("**Base:** `dev`", "base: dev"),
        ("**Timeout:** 30m", "timeout: 30m"),
        ("**Timeout:** requests have 5 s", ""),
        ("**Priority:** high", ""),
        ("**Base:** none", ""),
        ("**Status:** open", ""),
        ("**Kind:** fix", ""),
        ("```\n**Base:** dev\n```", ""),
        ("## Notes\n**Base:** dev", ""),
        ("**Base branch:** dev", "base: dev"),
        ("**Branch:** fix-it", ""),
        ("## Review\n\nrequired", "review: required"),
        ("## 3. Depends on 🔗\n- `set-up`\n- more", "depends_on: [set-up, more]"),
        ("## Depends on\nnothing but the clock", ""),
        ("## Base\nThe class of all others.", ""),
        ("## Gates\n- run `ruff check` on all\n", "gates: {test: ruff check}"),
        ("## Gates\nThose of the garden.", ""),
        ("## Checks\n- `ruff` is clean", ""),
        ("## Checks\n- `ruff check .` is clean", ""),
        ("**Requires:** Docker", ""),
        ("## Depends on\nNothing.", ""),
        ("**Skills:** Python", ""),
        ("**Repo:** https://example.org/a/b", ""),
        ("## Mode\n```\noptimize\n```", ""),
    ],
)
def test_a_key_that_stands_as_a_label_below_the_title_is_told(tmp_path: Path, line: str, meant: str) -> None:
    """`**Model:**` is read there, so others are written there, too: work landed without a review, or on the wrong base."""
    told = spec_of(tmp_path, f"# T\n\n{line}\n").misspelt
    assert [warning.partition(" Did you mean ")[2] for warning in told] == ([f"`{meant}`?"] if meant else [])
    assert spec_of(tmp_path, f"---\n{meant or 'title: T'}\n---\n# T\n\n{line}\n").misspelt == ()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("issue: #12", 'issue: "#12"'),
        ("title: Fix bug #12 in it", 'title: "Fix bug #12 in it"'),
        ("goal: Fix\n  all of #12", 'goal: "Fix all of #12"'),
        ('title: Fix "a" #12', r'title: "Fix \"a\" #12"'),
    ],
)
def test_words_that_yaml_takes_for_a_comment_are_told(tmp_path: Path, line: str, meant: str) -> None:
    """The pull request closed nothing, and an agent read 'Fix bug' as all of its goal."""
    spec = spec_of(tmp_path, f"---\n{line}\n---\n# T\n")
    assert [warning.partition(" Did you mean ")[2] for warning in spec.misspelt] == [f"`{meant}`?"]


@pytest.mark.parametrize(
    "line", ["issue: 12 # the old one", "issue: # none yet", "issue: o/n#12", "title: C#", 'goal: "a #12" #x', "goal: | #x\n  a"]
)
def test_a_comment_behind_a_value_is_one(tmp_path: Path, line: str) -> None:
    assert spec_of(tmp_path, f"---\n{line}\n---\n# T\n").warnings == ()


def test_reserved_keys_are_kept_without_a_word(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\nphase: 2\nlocks: {writes: [db]}\n---\n# T\n")
    assert (spec.reserved, spec.warnings) == ({"phase": 2, "locks": {"writes": ["db"]}}, ())


def test_landing_by_pull_request_is_a_choice_like_any_other(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\nland: pr\n---\n# T\n")
    assert spec.land is Land.PR
    assert spec.warnings == ()


def test_yaml_traps_are_defused(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path, "---\ntitle: 2026-01-02\nbase: 1:30\nmodel: 010\ndraft: yes\nmetric: {name: a, target: -1e3}\n---\n# T\n"
    )
    assert (spec.title, spec.base, spec.model, spec.draft, spec.metrics[0].target) == ("2026-01-02", "1:30", "010", True, -1000.0)


def test_references_and_merge_keys_work(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "---\nmetrics:\n  - &m {name: a, target: 1}\n  - {<<: *m, name: b}\n---\n# T\n")
    assert [(metric.name, metric.target) for metric in spec.metrics] == [("a", 1.0), ("b", 1.0)]


def test_the_key_of_a_file_changes_with_every_edit(tmp_path: Path) -> None:
    spec_of(tmp_path, "# one\n")
    path = tmp_path / "autoresearch.md"
    before = specfile.key_of(path)
    assert specfile.key_of(path) == before
    (tmp_path / "new").write_text("# two\n")
    (tmp_path / "new").rename(path)
    assert specfile.key_of(path) != before
