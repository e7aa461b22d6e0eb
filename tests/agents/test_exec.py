from __future__ import annotations

import pytest
from support.sessions import Stage

from orchestrator.agents.exec import Exec
from orchestrator.core.outcome import AgentEnd


def test_the_command_runs_in_the_worktree_by_the_shell_and_finds_its_prompt(stage: Stage) -> None:
    outcome = stage.run(
        "exec", stage.request(cmd='cat "$ORCH_PROMPT_FILE" > prompt && pwd > where && echo "$ORCH_ATTEMPT" | tee n', attempt=3)
    )
    assert outcome.end is AgentEnd.FINISHED
    assert (stage.worktree / "prompt").read_text() == "Do it."
    assert (stage.worktree / "where").read_text().strip() == str(stage.worktree)
    assert (stage.worktree / "n").read_text() == "3\n"


def test_nothing_can_be_read_from_its_standard_input(stage: Stage) -> None:
    stage.run("exec", stage.request(cmd="cat > typed"))
    assert (stage.worktree / "typed").read_bytes() == b""


@pytest.mark.parametrize(
    ("cmd", "end"),
    [
        ("exit 3", AgentEnd.FAILED),
        ("no-such-command-here", AgentEnd.NOT_STARTED),
        ("touch plain && ./plain", AgentEnd.NOT_STARTED),
        ("kill -9 $$", AgentEnd.KILLED),
        ("", AgentEnd.NOT_STARTED),
        ("  ", AgentEnd.NOT_STARTED),
        (None, AgentEnd.NOT_STARTED),
    ],
)
def test_how_the_command_ends_is_how_the_session_ends(stage: Stage, cmd: str | None, end: AgentEnd) -> None:
    assert stage.run("exec", stage.request(cmd=cmd)).end is end


@pytest.mark.parametrize(
    "cmd",
    [
        *("sh -c true", "KEY=1 OTHER=2 sh x", "cd somewhere && x", "$MY_AGENT --go", '"/a b/agent" x', "exec foo"),
        *("KEY=$(pass show my-key) sh x", "KEY='a b' sh x", "n=`no-such-program b`; sh x"),
    ],
)
def test_a_command_that_could_run_is_available(cmd: str) -> None:
    assert Exec().check(cmd=cmd).installed


@pytest.mark.parametrize("cmd", [None, "", " \n", "no-such-agent-here --go", "/no/such/agent", "KEY=1 no-such-agent-here"])
def test_a_missing_command_is_named_with_its_fix(cmd: str | None) -> None:
    found = Exec().check(cmd=cmd)
    assert not found.installed
    assert "ORCH_AGENT_CMD" in found.fix
    assert found.detail
