"""What every adapter in the registry must hold to, whatever its program prints: good sessions, recorded faults, damage, floods."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import recordings
from support.recordings import Case, Line, events, folded, judged

from orchestrator.agents import registry
from orchestrator.agents.protocol import Agent, Availability, EventKind, Request, Stream, Terminal
from orchestrator.core.outcome import AgentEnd

REAL = tuple(name for name in registry.OURS if name not in {"exec", "scripted"})  # those two run what they are given
CASES = [case for name in REAL for case in recordings.cases(name)]
NOISE = (
    b"npm warn deprecated",
    b"{torn",
    b"[1, 2]",
    b"null",
    b'"text"',
    b"{}",
    b'{"type": 7}',
    b"\xff\xfe\x00",
    b"\x1b[31mred\x1b[0m",
    b"",
)
ODD: tuple[Any, ...] = (None, [], {}, 0, -1, 1e308, True, "x", "\ud800", ["x", None, {"type": "text"}], {"type": []})
FLOOD = """
import resource, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from support.recordings import good
from orchestrator.agents import registry, session
from orchestrator.agents.log import SessionLog
from orchestrator.agents.protocol import Request
from orchestrator.proc.command import Command, Limits
name, root = sys.argv[1], Path(sys.argv[2])
printer = '''
import sys
lines = open(sys.argv[1], "rb").read().split(b"\\\\n")
out = sys.stdout.buffer
out.write(b"x" * 40_000_000 + b"\\\\n")
sent = 0
while sent < 60_000_000:
    for line in lines:
        wide = line.replace(b"All done", b"All done " + b"y" * 500_000)
        sent += out.write(wide + b"\\\\n")
    sent += out.write(b"z" * 2_000_000 + b"\\\\n")
'''
agent = registry.get(name)
kind = type(agent)
class Flooding(kind):
    def command(self, request):
        return Command((sys.executable, "-c", printer, str(root / "lines")), root, request.env)
(root / "lines").write_bytes(b"\\n".join(line for line, _ in good(name)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = session.run(
    Flooding(), Request("p", root / "prompt", root, {"PATH": "/usr/bin:/bin"}), SessionLog(root, max_bytes=10 << 20, raw=False),
    limits=Limits(seconds=120, grace=1), pump=lambda: None)
print(outcome.end.value, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, len(outcome.said))
"""


def ids(case: Case) -> str:
    return f"{case.agent}-{case.name}"


@pytest.fixture(params=registry.OURS)
def agent(request: pytest.FixtureRequest) -> Agent:
    return registry.get(request.param)


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> Agent:
    return registry.get(request.param)


def closes(agent: Agent) -> bool:
    return agent.traits.closes


def ended_well(agent: Agent, lines: tuple[Line, ...]) -> bool:
    return folded(agent, lines).ended is True


# --- sessions as they were recorded


def test_a_good_session_is_finished_and_has_said_what_it_did(real: Agent) -> None:
    lines = recordings.good(real.name)
    outcome, closing = judged(real, lines), folded(real, lines)
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert outcome.said.strip()
    assert bool(outcome.session) == real.traits.resume
    assert closing.open == frozenset()
    assert closing.ended is (True if closes(real) else closing.ended)
    if closes(real):
        kinds = {event.kind for event in events(real, lines)}
        assert {EventKind.TEXT, EventKind.TOOL, EventKind.RESULT, EventKind.END} <= kinds
    assert outcome.spend.usd is None or real.traits.cost


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_recorded_fault_is_judged_as_what_it_was(case: Case) -> None:
    agent = registry.get(case.agent)
    outcome = agent.outcome(case.finished, folded(agent, case.lines))
    assert outcome.end is case.ends, outcome
    if case.reset_at is not None:
        assert outcome.reset_at == case.reset_at
    assert outcome.end is AgentEnd.FINISHED or outcome.detail


def test_every_agent_has_recordings_of_the_faults_that_matter(real: Agent) -> None:
    ends = {case.ends for case in recordings.cases(real.name)}
    assert {AgentEnd.AUTH, AgentEnd.RATE_LIMITED, AgentEnd.FAILED} <= ends


# --- no end without its proof


def test_exit_0_of_a_session_that_printed_nothing_is_no_end(real: Agent) -> None:
    outcome = judged(real, ())
    assert outcome.end is not AgentEnd.FINISHED or not closes(real)
    assert outcome.spend.input_tokens is None
    assert outcome.spend.usd is None


def test_a_good_stream_does_not_make_up_for_a_bad_exit(real: Agent) -> None:
    lines = recordings.good(real.name)
    assert judged(real, lines, code=None).end is AgentEnd.STALLED
    assert judged(real, lines, code=3).end is AgentEnd.FAILED


def test_a_stream_that_breaks_off_anywhere_is_no_end_without_its_closing_event(real: Agent) -> None:
    whole = b"\n".join(line for line, _ in recordings.good(real.name))
    step = max(1, len(whole) // 150)
    for cut in range(0, len(whole), step):
        lines = tuple((line, Stream.OUT) for line in whole[:cut].split(b"\n"))
        outcome = judged(real, lines)
        if closes(real) and not ended_well(real, lines):
            assert outcome.end is not AgentEnd.FINISHED, whole[:cut][-200:]


# --- damage


def test_noise_between_the_lines_changes_nothing(real: Agent) -> None:
    lines = recordings.good(real.name)
    streams = tuple(Stream) if recordings.speaks_json(real.name) else (Stream.ERR,)
    noisy = [noise for line in lines for noise in (line, *product(NOISE, streams))]
    clean, outcome = judged(real, lines), judged(real, noisy)  # type: ignore[arg-type]
    assert (outcome.end, outcome.session, outcome.spend) == (clean.end, clean.session, clean.spend)
    if recordings.speaks_json(real.name):
        assert outcome.said == clean.said


def test_both_outputs_may_be_swapped_mixed_and_torn(agent: Agent) -> None:
    lines = list(recordings.good(agent.name)) if agent.name in REAL else [(b"some text", Stream.OUT)]
    chance = random.Random(7)
    for _ in range(20):
        chance.shuffle(lines)
        torn = [(part, chance.choice(tuple(Stream))) for line, _ in lines for part in _halves(line, chance)]
        outcome = judged(agent, torn)
        assert outcome.end is not AgentEnd.FINISHED or ended_well(agent, tuple(torn)) or not closes(agent)


def _halves(line: bytes, chance: random.Random) -> tuple[bytes, ...]:
    cut = chance.randrange(len(line) + 1)
    return (line,) if chance.random() < 0.5 else (line[:cut], line[cut:])


def test_bytes_that_are_no_utf8_are_read_over(real: Agent) -> None:
    chance = random.Random(11)
    for line, stream in (*recordings.good(real.name), *(line for case in recordings.cases(real.name) for line in case.lines)):
        for _ in range(10):
            at = chance.randrange(len(line) + 1)
            for event in real.events(line[:at] + chance.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00")) + line[at:], stream):
                event.text.encode()


@pytest.mark.parametrize("name", [name for name in REAL if recordings.speaks_json(name)])
def test_no_shape_of_a_known_event_raises(name: str) -> None:
    """Every value of every recorded event, replaced by what nobody expects there."""
    real = registry.get(name)
    for line, stream in (*recordings.good(real.name), *(line for case in recordings.cases(real.name) for line in case.lines)):
        for odd in _bent(line):
            for event in real.events(odd, stream):
                event.text.encode()
                json.dumps(dict(event.data))
                folded(real, ((odd, stream),))


def _bent(line: bytes) -> Iterator[bytes]:
    try:
        data = json.loads(line)
    except ValueError:
        return
    for path in _paths(data):
        for value in ODD:
            bent = deepcopy(data)
            place = bent
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            yield json.dumps(bent).encode()


def _paths(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield (*above, key)
        if len(above) < 4:
            yield from _paths(value, (*above, key))


@given(
    line=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
    stream=st.sampled_from(Stream),
)
def test_no_line_raises(line: bytes, stream: Stream) -> None:
    for name in registry.OURS:
        list(registry.get(name).events(line, stream))


def test_reading_leaves_nothing_behind_in_the_adapter(real: Agent) -> None:
    """One object serves any number of sessions at once."""
    lines = recordings.good(real.name)
    before = deepcopy(getattr(real, "__dict__", {}))
    once = events(real, lines)
    twice = [event for line, stream in lines for event in (*real.events(line, stream), *real.events(line, stream))]
    assert [event.kind for event in twice[::2]] or twice == once
    assert events(real, lines) == once
    assert getattr(real, "__dict__", {}) == before


def test_100_mb_of_output_cost_no_memory_and_do_not_hide_the_end(real: Agent, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, real.name, str(tmp_path), str(Path(__file__).parent.parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    end, grown, _ = done.stdout.split()
    assert end == AgentEnd.FINISHED
    assert int(grown) < 150, "MB"
    assert sum(path.stat().st_size for path in tmp_path.glob("agent.*")) < 25_000_000


# --- what an adapter builds and says of itself


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ORCH_TASK_DIR": str(tmp_path), "ORCH_KEPT": "yes"}
    (tmp_path / "scenario.toml").write_text("")
    (tmp_path / "prompt.md").write_text("Do it.")
    return Request("Do it.", tmp_path / "prompt.md", worktree, env, cmd="true")


def test_a_command_carries_what_was_asked_for(real: Agent, asked: Request) -> None:
    traits = real.traits
    effort = traits.efforts[-1] if traits.efforts else None
    session = "5a2d1c3e-0000-4000-8000-000000000000" if traits.resume else None
    usd = 4.25 if "usd" in traits.budgets else None
    model = "some/model" if real.name == "opencode" else "some-model"
    request = replace(asked, model=model, effort=effort, resume=session, usd=usd, args=("--of-the-user", "x"))
    command = real.command(request)
    words = " ".join((*command.argv, *(f"{name}={value}" for name, value in command.env.items())))
    for wanted in (model, effort, session, "4.25" if usd else None, "--of-the-user x"):
        assert wanted is None or wanted in words, wanted
    assert command.cwd == asked.worktree


@pytest.mark.parametrize("name", [name for name in REAL if "usd" in registry.get(name).traits.budgets])
def test_a_budget_that_is_all_but_gone_is_neither_refused_nor_taken_for_none(name: str, asked: Request) -> None:
    for usd, told in ((0.0, "0.01"), (0.003, "0.01"), (4.256, "4.26")):
        argv = registry.get(name).command(replace(asked, usd=usd)).argv
        assert told in argv
        assert not {"0", "0.00"} & set(argv)


def test_a_command_keeps_the_environment_it_was_given(agent: Agent, asked: Request) -> None:
    env = agent.command(asked).env
    assert env["ORCH_KEPT"] == "yes"
    assert env["PATH"].endswith("/usr/bin:/bin")
    assert not [name for name in env if name.startswith("GITHUB")]


@pytest.mark.parametrize(
    "prompt", ["--version", "-", "x" * 300_000, "a\0b", "\udcff", "", "line\nline", "$(touch made) `touch made` 'q\""]
)
def test_any_prompt_can_be_given(agent: Agent, asked: Request, prompt: str) -> None:
    command = agent.command(replace(asked, prompt=prompt))
    for word in command.argv:
        assert len(word.encode()) < 128 * 1024
        assert "\0" not in word
    if prompt.startswith("-"):
        assert prompt not in command.argv or command.argv[command.argv.index(prompt) - 1] == "--" or prompt == "-"
    assert command.stdin is None or isinstance(command.stdin, bytes)


def test_an_agent_says_of_itself_what_others_must_know(real: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    traits = real.traits
    assert traits.install
    assert traits.login
    assert traits.program
    assert traits.credentials
    assert traits.environment or traits.terminal is Terminal.ALWAYS
    for secret in traits.secrets:
        assert any(fnmatchcase(secret, pattern) for pattern in traits.environment), secret
    assert traits.budgets <= {"usd", "tokens", "minutes", "turns"}
    monkeypatch.setenv("PATH", "/nowhere")
    missing = real.check()
    assert isinstance(missing, Availability)
    assert not missing.installed
    assert missing.fix
