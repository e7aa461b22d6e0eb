from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from support.sessions import Stage

from orchestrator.agents import player, registry
from orchestrator.agents.player import ACTIONS, MISUSE, steps_of
from orchestrator.core.outcome import AgentEnd
from orchestrator.proc.command import Limits


def test_it_writes_appends_deletes_and_prints(stage: Stage) -> None:
    (stage.worktree / "old").write_text("x")
    stage.scenario("""
        [[attempts]]
        steps = [
          {print = "Looking."},
          {write = "src/deep/a.txt", content = "one\\n"},
          {append = "src/deep/a.txt", content = "two\\n"},
          {delete = "old"},
          {delete = "never-there"},
          {error = "a warning"},
        ]
    """)
    assert stage.run("scripted", stage.request()).end is AgentEnd.FINISHED
    assert (stage.worktree / "src/deep/a.txt").read_text() == "one\ntwo\n"
    assert not (stage.worktree / "old").exists()
    assert [(event["kind"], event["text"]) for event in stage.events()] == [("text", "Looking."), ("notice", "a warning")]


def test_each_attempt_plays_its_own_steps_and_the_last_repeats(stage: Stage) -> None:
    stage.scenario('attempts = [{steps=[{write="n", content="1"}]}, {steps=[{write="n", content="2"}]}]')
    for attempt, wrote in ((1, "1"), (2, "2"), (7, "2")):
        stage.run("scripted", stage.request(attempt=attempt))
        assert (stage.worktree / "n").read_text() == wrote


def test_steps_at_the_top_serve_every_attempt() -> None:
    assert steps_of({"steps": [{"print": "x"}]}, 9) == [{"print": "x"}]
    assert steps_of({}, 1) == []


def test_a_scenario_elsewhere_is_named_by_the_environment(stage: Stage) -> None:
    (stage.root / "mine.toml").write_text('steps = [{write="here", content=""}]')
    assert stage.run("scripted", stage.request(ORCH_SCENARIO=str(stage.root / "mine.toml"))).end is AgentEnd.FINISHED
    assert (stage.worktree / "here").exists()


def test_a_relative_scenario_is_found_where_it_was_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.root / "mine.toml").write_text('steps = [{write="here", content=""}]')
    monkeypatch.chdir(stage.root)
    assert stage.run("scripted", stage.request(ORCH_SCENARIO="mine.toml")).end is AgentEnd.FINISHED
    assert (stage.worktree / "here").exists()


def test_paths_expand_variables_so_that_it_can_reach_out_of_its_worktree(stage: Stage) -> None:
    stage.scenario('steps = [{write="$ORCH_TASK_DIR/benchmark.sh", content="echo METRIC n=0"}, {write="../outside", content=""}]')
    stage.run("scripted", stage.request())
    assert (stage.root / "copy/benchmark.sh").read_text() == "echo METRIC n=0"
    assert (stage.root / "outside").exists()


def test_it_commits_by_itself_without_any_identity_and_without_hooks(stage: Stage) -> None:
    subprocess.run(["git", "init", "-q"], cwd=stage.worktree, check=True)
    hook = stage.worktree / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    stage.scenario('steps = [{write="a", content="1"}, {commit="Add a"}]')
    outcome = stage.run("scripted", stage.request(GIT_CONFIG_GLOBAL="/dev/null"))
    assert outcome.end is AgentEnd.FINISHED, outcome
    subjects = subprocess.run(
        ["git", "log", "--format=%s"], cwd=stage.worktree, check=True, capture_output=True, text=True
    ).stdout
    assert subjects == "Add a\n"


def test_a_command_that_fails_ends_the_session_with_its_code(stage: Stage) -> None:
    stage.scenario('steps = [{run="exit 7"}, {write="after", content=""}]')
    outcome = stage.run("scripted", stage.request())
    assert (outcome.end, outcome.exit_code) == (AgentEnd.FAILED, 7)
    assert not (stage.worktree / "after").exists()


@pytest.mark.parametrize(
    ("how", "end", "code"),
    [("3", AgentEnd.FAILED, 3), ('"SIGKILL"', AgentEnd.KILLED, None), ('"SIGSEGV"', AgentEnd.KILLED, None)],
)
def test_it_crashes_by_code_or_by_signal(stage: Stage, how: str, end: AgentEnd, code: int | None) -> None:
    stage.scenario(f"steps = [{{crash={how}}}]")
    outcome = stage.run("scripted", stage.request())
    assert (outcome.end, outcome.exit_code) == (end, code)


@pytest.mark.parametrize("how", ["true", '"deaf"'])
def test_it_hangs_until_it_is_ended_even_when_deaf(stage: Stage, how: str) -> None:
    stage.scenario(f"steps = [{{hang={how}}}]")
    started = time.monotonic()
    assert stage.run("scripted", stage.request(), limits=Limits(idle=0.5, grace=0.2)).end is AgentEnd.STALLED
    assert time.monotonic() - started < 20


def test_it_lies_claiming_success_with_nothing_done(stage: Stage) -> None:
    stage.scenario('steps = [{lie="All tests pass now!"}, {write="never", content=""}]')
    assert stage.run("scripted", stage.request()).end is AgentEnd.FINISHED
    assert list(stage.worktree.iterdir()) == []


def test_it_reaches_limits_asks_is_refused_and_tells_what_it_used(stage: Stage) -> None:
    now = time.time()
    stage.scenario("""
        attempts = [
          {steps=[{usage={usd=0.5, input_tokens=10, output_tokens=2}}, {limit=3600}]},
          {steps=[{ask="Which database?"}]},
          {steps=[{auth="The key is refused."}]},
          {steps=[{exit=5}]},
        ]
    """)
    limited = stage.run("scripted", stage.request(attempt=1))
    assert limited.end is AgentEnd.RATE_LIMITED
    assert limited.reset_at is not None
    assert now + 3590 < limited.reset_at < now + 3700
    assert (limited.spend.usd, limited.spend.input_tokens, limited.spend.output_tokens) == (0.5, 10, 2)
    asked = stage.run("scripted", stage.request(attempt=2))
    assert (asked.end, asked.prompt) == (AgentEnd.NEEDS_INPUT, "Which database?")
    assert stage.run("scripted", stage.request(attempt=3)).end is AgentEnd.AUTH
    assert stage.run("scripted", stage.request(attempt=4)).exit_code == 5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml [", "TOMLDecodeError"),
        ('steps = [{dance="x"}]', "exactly one of"),
        ('steps = [{write="a", print="b"}]', "exactly one of"),
        ('stpes = [{print="b"}]', "unknown key 'stpes'"),
    ],
)
def test_a_broken_scenario_fails_saying_what_is_wrong(stage: Stage, text: str, says: str) -> None:
    stage.scenario(text)
    outcome = stage.run("scripted", stage.request())
    assert (outcome.end, outcome.exit_code) == (AgentEnd.FAILED, MISUSE)
    assert says in stage.log()


def test_without_a_scenario_it_is_not_started_and_says_where_one_belongs(stage: Stage) -> None:
    outcome = stage.run("scripted", stage.request())
    assert outcome.end is AgentEnd.NOT_STARTED
    assert "scenario.toml" in outcome.detail


def test_a_package_of_our_name_in_the_worktree_is_not_imported(stage: Stage) -> None:
    package = stage.worktree / "orchestrator"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('wrong package')")
    (stage.worktree / "signal.py").write_text("raise SystemExit('wrong module')")
    stage.scenario('steps = [{print="fine"}]')
    assert stage.run("scripted", stage.request(PYTHONPATH=str(stage.worktree))).end is AgentEnd.FINISHED


def test_a_line_that_only_looks_like_an_event_is_a_notice(stage: Stage) -> None:
    stage.scenario("""steps = [{print="@scripted {nonsense"}, {print='@scripted {"kind": "dance"}'}]""")
    assert stage.run("scripted", stage.request()).end is AgentEnd.FINISHED
    assert [event["kind"] for event in stage.events()] == ["notice", "notice"]


def test_every_action_stands_in_the_description() -> None:
    assert player.__doc__ is not None
    described = player.__doc__.replace("{", " ").replace("`", " ")
    assert [action for action in ACTIONS if f" {action} " not in described] == []


def test_it_is_always_available() -> None:
    assert registry.get("scripted").check().installed
    assert Path(registry.__file__).with_name("player.py").is_file()


def test_the_player_alone_does_what_its_steps_say(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(stage.worktree)
    monkeypatch.setenv("ORCH_TASK_DIR", str(stage.root / "copy"))
    subprocess.run(["git", "init", "-q"], check=True)

    def play(steps: str) -> int:
        stage.scenario(f"steps = [{steps}]")
        return player.main()

    assert (
        play('{write="a/b", content="1"}, {append="a/b", content="2"}, {delete="none"}, {run="true"}, {commit="m"}, {sleep=0}')
        == 0
    )
    assert (stage.worktree / "a/b").read_text() == "12"
    assert play('{run="exit 3"}') == 3
    assert play('{run="kill -9 $$"}') == 137
    assert play("{exit=4}") == 4
    assert play("{crash=5}") == 5
    assert play('{lie="done"}, {exit=9}') == 0
    assert play('{print="out"}, {error="err"}, {usage={usd=1.5}}, {hang=false}') == 0
    assert play("{limit=10}") == play('{auth="no"}') == 1
    assert play('{ask="which?"}') == 0
    assert play('{write="/proc/nowhere/x"}') == MISUSE
    assert play('{dance="x"}') == MISUSE
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "err"
    assert [line.partition(": ")[2][:8] for line in printed.out.splitlines() if line.startswith(player.MARK)] == [
        '"usage",',
        '"limit",',
        '"auth", ',
        '"questio',
    ]
