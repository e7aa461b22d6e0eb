"""Any program as an agent, from a table of the configuration alone."""

from __future__ import annotations

import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sessions import Stage

from orchestrator.agents import registry
from orchestrator.agents.generic import Generic
from orchestrator.agents.protocol import Answer, EventKind, Request, Stream, Terminal
from orchestrator.core.outcome import AgentEnd
from orchestrator.errors import AgentError

BOT = r"""
argv = ["sh", "{worktree}/bot", "run", ["--model", "{model}"], ["--effort={effort}"], "{prompt}"]
resume = ["sh", "{worktree}/bot", "again", "{session}", "{prompt}"]
stdin = "asked: {prompt}"
set = {BOT_QUIET = "1"}
environment = ["BOT_*"]
secrets = ["BOT_KEY"]
silence = "10m"
terminal = "never"
totals = true
exits = {41 = "auth", 7 = "rate-limited"}
answers = [{pattern = "Go on\\?", keys = "y\r"}]
[patterns]
session = 'Session: (?P<session>\S+)'
model = 'Model: (?P<model>.+)'
text = '^> (?P<text>.*)'
tool = '^\[(?P<id>\d+)\] (?P<name>\w+): (?P<input>.*)'
result = '^\[(?P<id>\d+)\] (?:ok|(?P<failed>bad))'
usage = '(?P<input_tokens>[\d,]+) in, (?P<output_tokens>[\d,]+) out'
cost = '\$(?P<usd>[\d.]+)'
question = '^\? (?P<text>.*)'
limit = 'Limit reached, (?:(?P<reset>try again .*)|wait (?P<seconds>\d+)|until (?P<epoch>\d+)|later)'
auth = 'Please log in'
context = 'Too much to read'
error = '^ERROR (?P<text>.*)'
failed = '^Gave up'
end = '^Done\.$'
"""


def table(**more: Any) -> dict[str, Any]:
    return {**tomllib.loads(BOT), **more}


def bot(**more: Any) -> Generic:
    return Generic("bot", table(**more))


def run(stage: Stage, script: str, *, agent: Generic | None = None, **options: Any) -> Any:
    (stage.worktree / "bot").write_text(script)
    request = replace(stage.request(), **options)
    return stage.run(agent or bot(), request)


def test_a_session_of_a_described_program_is_read_from_its_start_to_its_end(stage: Stage) -> None:
    outcome = run(
        stage,
        """
        printf '%s|' "$@" > words; cat > typed; echo "$BOT_QUIET" > quiet
        echo 'Session: s-1'; echo 'Model: large'; echo '> Looking.'
        echo '[1] shell: ls'; echo '[1] ok'; echo '1,200 in, 90 out for $0.25'; echo '2,400 in, 180 out for $0.50'
        echo '> All done.'; echo 'Done.'
        """,
        model="large",
        prompt="Do it now.",
    )
    assert (outcome.end, outcome.session, outcome.model, outcome.said) == (AgentEnd.FINISHED, "s-1", "large", "All done.")
    assert (outcome.spend.input_tokens, outcome.spend.output_tokens, outcome.spend.usd) == (2400, 180, 0.5)
    assert (stage.worktree / "words").read_text() == "run|--model|large|Do it now.|"
    assert (stage.worktree / "typed").read_text() == "asked: Do it now."
    assert (stage.worktree / "quiet").read_text() == "1\n"


def test_a_session_that_goes_on_has_words_of_its_own(stage: Stage) -> None:
    run(stage, "printf '%s|' \"$@\" > words; echo Done.", resume="s-1")
    assert (stage.worktree / "words").read_text() == "again|s-1|Do it.|"


def test_exit_0_without_the_end_that_was_described_is_no_end(stage: Stage) -> None:
    assert run(stage, "echo '> Working.'").end is AgentEnd.FAILED
    assert run(stage, "echo 'Gave up'").end is AgentEnd.FAILED
    patterns = {name: text for name, text in table()["patterns"].items() if name != "end"}
    assert run(stage, "echo '> Working.'", agent=bot(patterns=patterns)).end is AgentEnd.FINISHED


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("echo 'Please log in'; exit 1", AgentEnd.AUTH),
        ("exit 41", AgentEnd.AUTH),
        ("exit 7", AgentEnd.RATE_LIMITED),
        ("exit 3", AgentEnd.FAILED),
        ("echo 'Limit reached, later' >&2; exit 1", AgentEnd.RATE_LIMITED),
        ("echo 'Too much to read'; exit 1", AgentEnd.CONTEXT),
        ("echo '? Which file?'; exit 0", AgentEnd.NEEDS_INPUT),
        ("echo 'ERROR 401 Unauthorized'; exit 1", AgentEnd.AUTH),
        ("echo 'ERROR it broke'; exit 1", AgentEnd.FAILED),
    ],
)
def test_what_it_says_of_a_failure_is_understood(stage: Stage, script: str, end: AgentEnd) -> None:
    assert run(stage, script).end is end


@pytest.mark.parametrize(
    ("words", "ahead"),
    [("try again in 2 hours", 7200), ("try again after 90 s", 90), ("wait 600", 600), ("until {epoch}", 3600), ("later", None)],
)
def test_a_limit_tells_its_end_in_words_seconds_or_an_epoch(words: str, ahead: float | None) -> None:
    now = time.time()
    (event,) = bot().events(f"Limit reached, {words.format(epoch=int(now) + 3600)}".encode(), Stream.OUT)
    assert event.kind is EventKind.LIMIT
    assert event.text.startswith("Limit reached")
    assert event.data.get("reset_at") == (None if ahead is None else pytest.approx(now + ahead, abs=5))


def test_lines_that_no_pattern_knows_are_text_where_no_text_is_described() -> None:
    plain = Generic("plain", {"argv": ["plain"]})
    assert [event.kind for event in plain.events(b"hello", Stream.OUT)] == [EventKind.TEXT]
    assert [event.kind for event in plain.events(b"hello", Stream.ERR)] == [EventKind.NOTICE]
    assert [event.kind for event in bot().events(b"hello", Stream.OUT)] == [EventKind.NOTICE]


def test_its_traits_follow_from_what_was_said() -> None:
    traits = bot().traits
    assert (traits.resume, traits.closes, traits.cost, traits.program) == (True, True, True, "sh")
    assert (traits.efforts, traits.silence, traits.terminal) == (("low", "medium", "high"), 600.0, Terminal.NEVER)
    assert (traits.environment, traits.secrets, traits.answers) == (("BOT_*",), ("BOT_KEY",), (Answer(r"Go on\?", "y\r"),))
    bare = Generic("bare", {"argv": ["no-such-program", ["--max", "{usd}"]], "install": "get it"})
    assert (bare.traits.resume, bare.traits.closes, bare.traits.budgets) == (False, False, {"usd"})
    assert bare.check().fix == "get it"


def test_a_prompt_is_no_option_and_words_without_their_value_are_left_out(stage: Stage, tmp_path: Path) -> None:
    request = Request("--help", tmp_path / "prompt.md", stage.worktree, {}, args=("--more",))
    assert bot().command(request).argv[2:] == ("run", " --help", "--more")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"argv": "bot {prompt}"}, ("agents.bot.argv", "a list of words")),
        ({"argv": []}, ("agents.bot.argv", "the program first")),
        ({"argv": ["bot", 7]}, ("agents.bot.argv: found 7", "words in quotes")),
        ({"argv": ["bot", "{promt}"]}, ("{promt}", "{prompt}")),
        ({"stdin": "{nothing}"}, ("agents.bot.stdin", "{nothing}")),
        ({"argw": ["bot"]}, ("agents.bot.argw", "'argv'")),
        ({"patterns": {"ende": "x"}}, ("agents.bot.patterns.ende", "end")),
        ({"patterns": {"end": "("}}, ("agents.bot.patterns.end", "a regular expression")),
        ({"patterns": {"end": 1}}, ("agents.bot.patterns.end", "in quotes")),
        ({"patterns": {"usage": "(?P<tokens>x)"}}, ("(?P<tokens>…)", "input_tokens")),
        ({"exits": {"x": "auth"}}, ("agents.bot.exits.x", "whole number")),
        ({"exits": {"3": "login"}}, ("agents.bot.exits.3", "auth")),
        ({"terminal": "sometimes"}, ("agents.bot.terminal", "never")),
        ({"silence": "long"}, ("agents.bot.silence", "10m")),
        ({"environment": "BOT_*"}, ("agents.bot.environment", "a list")),
        ({"set": {"A": 1}}, ("agents.bot.set.A", "in quotes")),
        ({"answers": [{"pattern": "x"}]}, ("agents.bot.answers", "keys")),
        ({"totals": "yes"}, ("agents.bot.totals", "true or false")),
    ],
)
def test_a_fault_in_the_description_names_key_and_what_is_expected(change: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(AgentError) as caught:
        Generic("bot", table(**change))
    for words in says:
        assert words in caught.value.message
    assert "--config" in caught.value.hint


def test_the_registry_knows_the_agents_that_the_configuration_describes() -> None:
    tables = {"bot": table()}
    assert registry.get("bot", tables).name == "bot"
    assert "bot" in registry.names(tables)
    assert "bot" not in registry.names()
    assert registry.get("exec", tables).name == "exec"
    agents, warnings = registry.load_all({"bot": {"argv": 3}})
    assert "bot" not in agents
    assert "agents.bot.argv" in warnings[0]
    with pytest.raises(AgentError, match="known already"):
        registry.get("claude", {"claude": table()})
    with pytest.raises(AgentError) as caught:
        registry.get("bott", tables)
    assert "bot" in caught.value.hint


@given(
    line=st.binary(max_size=200) | st.sampled_from([b"1e400 in, 5 out", b"$1..2", b"Limit reached, until 99999999999999999999"])
)
def test_no_line_raises(line: bytes) -> None:
    for stream in Stream:
        for event in bot().events(line, stream):
            event.text.encode()
