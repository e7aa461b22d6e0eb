"""The whole product with each agent's real program, on a real repository, against a scripted model on loopback.

All of them by `pytest -m agents`; those that aren't installed are skipped, but in CI claude and codex must be there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import clis
from support.project import Project

from orchestrator.agents import registry
from orchestrator.modelserver import clients, parse, serve
from orchestrator.modelserver.server import Server

pytestmark = [pytest.mark.agents, pytest.mark.timeout(280)]
MISSING = '#!/bin/sh\necho "METRIC missing=$([ "$(cat hello.txt 2>/dev/null)" = hello ] && echo 0 || echo 1)"\n'
WORK: Mapping[str, Any] = {
    "turns": [
        {"say": "I write the file.", "write": {"path": "hello.txt", "content": "hello\n"}},
        {"run": "git status --short"},
        {"finish": "All done."},
    ],
    "usage": {"input": 1000, "cached": 200, "output": 50},
}
TOKENS = ("input_tokens", "output_tokens")
YES: Mapping[str, Any] = {
    "verdict": "pass",
    "summary": "It says hello.",
    "evidence": [{"file": "hello.txt", "line": 1, "says": "hello"}],
}
NO: Mapping[str, Any] = {**YES, "verdict": "fail", "summary": "It says it too quietly."}
SOON = 100.0  # seconds; the slowest program takes a quarter of that for a session
CLAUDE_LOGIN = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "none"}  # of a subscription, which alone tells resets


class Desk:
    """A project whose agent is a real program, and the model that it talks to."""

    def __init__(self, name: str, project: Project, server: Server) -> None:
        self.name, self.project, self.server = name, project, server
        client = clients.client(name, server.url)
        assert client is not None
        home = Path(project.env["HOME"])
        for path, text in client.files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)
        path = f"{clis.needed(name).parent}:{clis.search_path()}"
        project.env.update({**client.env, "PATH": path, "ORCH_AGENT": name, "ORCH_MODEL": client.model, "TERM": "dumb"})
        if name == "copilot":  # it unpacks 235 MB there
            project.env["XDG_CACHE_HOME"] = str(clis.FOLDER / "copilot-cache")

    def drop(self, front: str = "") -> None:
        self.project.drop("hello", front=f"converge: 1\n{front}", benchmark=MISSING)

    def judge(self, *turns: Mapping[str, Any]) -> dict[str, Any]:
        """The work is done by a script, and this agent judges it: its verdict."""
        self.script(scenes=[{"when": "You decide whether a change may land", "turns": [*turns]}], turns=[])
        model = self.project.env.pop("ORCH_MODEL")
        self.project.agent("echo hello > hello.txt")
        self.drop(f"max_failures: 1\ngates: {{judge: {{agent: {self.name}, model: {model}}}}}")
        self.project.run(timeout=SOON)
        said: list[dict[str, Any]]
        said = json.loads((self.project.folder("hello") / ".orch/attempts/0001/verdicts.json").read_text())["verdicts"]
        (verdict,) = said
        return verdict

    @property
    def session(self) -> str:
        """Time enough for it to start and to ask the model."""
        return "25s" if self.name in clis.SLOW else "6s"

    def script(self, **changes: Any) -> None:
        """From now on the model says this."""
        self.server.script = parse({**WORK, **changes})

    def landed(self) -> str:
        return self.project.git("show", "main:hello.txt")


@pytest.fixture(params=clis.NAMES)
def open_desk(request: pytest.FixtureRequest, project: Project) -> Callable[..., Any]:
    name = request.param
    clis.needed(name)

    @contextmanager
    def opened(**changes: Any) -> Iterator[Desk]:
        with serve({**WORK, **changes}) as server:
            yield Desk(name, project, server)
            project.end()  # before the model goes

    return opened


def refuses(kind: str, **more: Any) -> dict[str, Any]:
    return {"faults": [{"kind": kind, **more}]}


def test_its_edit_lands(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        desk.drop()
        desk.project.run(timeout=SOON, code=0)
        assert desk.landed() == "hello"
        assert desk.project.git("ls-tree", "-r", "--name-only", "main").split() == ["README", "hello.txt", "todo.txt"]
        record = desk.project.record("hello")
        assert record["attempts"] == 1
        log = (desk.project.folder("hello") / ".orch/attempts/0001/agent.log").read_text()
        assert "-- ended: finished" in log
        if desk.name not in {"copilot"}:  # it tells premium requests only
            assert record["spend"]["output_tokens"] > 0


def test_a_limit_parks_the_task_uncounted_and_it_goes_on_after_the_reset(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        # qwen sits a short one out in silence, and tells of a long one after half a minute.
        desk.script(**refuses("usage-limit", resets_in=70 if desk.name == "qwen" else 5))
        desk.drop()
        project = desk.project
        if desk.name == "claude":
            project.env.update(CLAUDE_LOGIN)
        project.start("--loop", ORCH_BACKOFF="3s", ORCH_BACKOFF_MAX="3s")
        project.wait(lambda: project.task("hello")["reason"] == "rate-limited", SOON, "the task is parked")
        parked = project.task("hello")
        assert (parked["state"], parked["attempts"]) == ("pending", 0)
        assert parked["not_before"] is not None
        desk.script()
        project.wait(lambda: project.where("hello") == "converged", SOON, "the task goes on after the reset")
        assert project.record("hello")["attempts"] == 1
        assert desk.landed() == "hello"


def test_a_refused_key_blocks_the_task_at_once_and_says_what_to_do(open_desk: Callable[..., Any]) -> None:
    with open_desk(**refuses("auth")) as desk:
        desk.drop()
        began = time.monotonic()
        desk.project.run(timeout=SOON, code=1)
        assert time.monotonic() - began < 60
        task = desk.project.task("hello")
        assert (task["state"], task["reason"], task["attempts"]) == ("blocked", "auth", 0)
        told = desk.project.run("why", "hello").stdout
        assert registry.get(desk.name).traits.login in told


def test_a_model_that_never_answers_is_ended_and_counts_as_a_failure(open_desk: Callable[..., Any]) -> None:
    with open_desk(**refuses("hang")) as desk:
        desk.drop("max_failures: 1")
        desk.project.run(timeout=SOON, code=1, ORCH_TIMEOUT=desk.session)
        task = desk.project.task("hello")
        assert (task["state"], task["reason"], task["failures"]) == ("blocked", "exhausted", 1)
        assert "timed-out" in str([event.get("end") for event in desk.project.events("hello")])


def test_a_command_that_it_left_running_is_gone_after_the_session(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        if desk.name == "aider":
            pytest.skip("aider runs no commands of the model")
        project, begun = desk.project, desk.project.top / "begun"
        desk.script(turns=[{"run": f"touch {begun}; setsid sleep 600 & sleep 600"}, {"finish": "Done."}])
        desk.drop("max_failures: 1")
        running = project.start()
        project.wait(begun.exists, SOON, "the command runs")
        project.run("--stop", timeout=SOON, code=0)
        running.wait(SOON)
        assert not project.survivors()


def test_it_finds_our_skills_in_its_worktree(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        if not registry.get(desk.name).traits.skills:
            pytest.skip(f"{desk.name} reads no skills: its prompt holds them")
        desk.drop("phases: [do-task, review-task]")
        desk.project.run(timeout=2 * SOON, code=0)
        assert "How to review and mend the work of the session before you" in str([asked.body for asked in desk.server.requests])
        assert desk.project.record("hello")["attempts"] == 1


@pytest.mark.parametrize("word", [YES, NO], ids=["pass", "fail"])
def test_as_a_judge_it_is_heard_by_its_last_message(open_desk: Callable[..., Any], word: Mapping[str, Any]) -> None:
    with open_desk() as desk:
        fence = f"I have read it.\n\n```json\n{json.dumps(word, indent=2)}\n```"
        said = desk.judge({"finish": json.dumps(word) if word is YES else fence})
        assert (said["ok"], said["reason"]) == (word is YES, word["summary"]), said
        assert said["places"] == ["hello.txt:1: hello"]
        assert desk.project.where("hello") == ("converged" if word is YES else "blocked")


def test_as_a_judge_it_writes_its_verdict_to_the_file_and_nothing_else_it_does_counts(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        if desk.name == "aider":
            pytest.skip("aider runs no commands of the model")
        cheat = "echo cheat > hello.txt; git add -A; git commit -qm cheat; git push -q origin HEAD:main"
        said = desk.judge(
            {"run": f"{cheat}; true"},
            {"write": {"path": "more.txt", "content": "more\n"}},
            {"run": f"echo '{json.dumps(NO)}' > \"$ORCH_VERDICT_FILE\""},
            {"finish": "I have written my verdict to the file."},
        )
        assert (said["ok"], said["reason"], said["places"]) == (False, NO["summary"], ["hello.txt:1: hello"])
        assert desk.project.git("ls-tree", "-r", "--name-only", "main").split() == ["README", "todo.txt"]
        attempt = desk.project.record("hello")["history"][0]["commit"]
        assert desk.project.git("show", f"{attempt}:hello.txt") == "hello"
        assert desk.project.git("ls-tree", "-r", "--name-only", attempt).split() == ["README", "hello.txt", "todo.txt"]


def test_its_recorded_session_is_played_again_without_it(open_desk: Callable[..., Any]) -> None:
    with open_desk() as desk:
        project, tapes = desk.project, desk.project.top / "tapes"
        desk.drop()
        project.run(timeout=SOON, code=0, ORCH_RECORD=str(tapes))
        spent = project.record("hello")["spend"]
        project.git("reset", "-q", "--hard", project.git("rev-list", "--max-parents=0", "main"))
        project.drop("again", front="converge: 1", benchmark=MISSING)
        (tape,) = tapes.iterdir()
        played = {"ORCH_AGENT": "scripted", "ORCH_MODEL": "", "ORCH_SCENARIO": str(tape), "ORCH_REPLAY_SPEED": "0"}
        project.run(timeout=SOON, code=0, **played)
        assert desk.landed() == "hello"
        again = project.record("again")["spend"]
        assert [again[kind] for kind in TOKENS] == [spent[kind] for kind in TOKENS]


def test_it_does_the_demo(open_desk: Callable[..., Any], tmp_path: Path) -> None:
    with open_desk() as desk:
        done = desk.project.run("demo", "--agent", desk.name, str(tmp_path / "demo"), timeout=2 * SOON, code=0)
        assert "3 converged" in done.stdout
