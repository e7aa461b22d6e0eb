"""Secrets are replaced wherever they stand, also cut in two; what is none stays."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.core.masking import MASK, Masker, key_like, maskable, secrets_of

KEY = "sk-ant-abc123DEF456"


@pytest.mark.parametrize(
    "name",
    [
        "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "MY_SECRET", "DB_PASSWORD", "PGPASSWD", "AWS_SECRET_ACCESS_KEY", "CREDENTIALS",
        "openai_apikey", "SIGNING_KEY", "DEPLOYKEY", "NPM_AUTH", "GH_PAT", "SENTRY_DSN", "KEY", "SLACK_WEBHOOK_URL", "MYSQL_PASS",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert key_like(name)


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "KEYBOARD", "MONKEYS", "SSH_AUTH_SOCK", "TOKEN_FILE", "PWD", "COMPASS", "SECRET_TTL", "AUTHOR", "LANG"],
)
def test_names_of_others(name: str) -> None:
    assert not key_like(name)


@pytest.mark.parametrize("value", ["", "short", "true", "Production", "200000", "1.2.3", "/home/me/.ssh/id", "~/key", "changeme"])
def test_what_stands_everywhere_is_not_masked(value: str) -> None:
    assert not maskable(value)
    assert secrets_of({"API_KEY": value}) == {}


def test_a_password_inside_an_address_is_a_secret_whatever_its_variable_is_called() -> None:
    assert secrets_of({"DATABASE_URL": "postgres://me:hunter22@db/x"}) == {"hunter22": "DATABASE_URL"}


def test_named_variables_and_what_reads_like_a_key_in_a_file_of_secrets() -> None:
    variables = {"LICENCE": "plain words here", "ODD": "a1b2c3d4e5f6a7b8", "MODE": "some-long-mode-name"}
    assert secrets_of(variables) == {}
    assert secrets_of(variables, named=("LICENCE",)) == {"plain words here": "LICENCE"}
    assert secrets_of(variables, random=True) == {"a1b2c3d4e5f6a7b8": "ODD"}


def test_text_bytes_and_data_lose_it_and_tell_its_name() -> None:
    masker = Masker({KEY: "API_KEY"})
    assert masker.text(f"a {KEY} b") == f"a {MASK} b"
    assert masker.data(f"a {KEY} b".encode()) == b"a *** b"
    assert masker.deep({"a": [f"x{KEY}", 1, None], KEY: True}) == {"a": [f"x{MASK}", 1, None], KEY: True}
    assert masker.named(f"+key = {KEY}".encode()) == ("API_KEY",)
    assert Masker().text(KEY) == KEY


def test_the_forms_it_takes_in_json_and_in_addresses() -> None:
    value = 'p"ss\\wörd/\t1'
    masker = Masker({value: "PASSWORD"})
    for ascii_only in (True, False):
        assert masker.data(json.dumps({"a": value}, ensure_ascii=ascii_only).encode()) == b'{"a": "***"}'
    assert masker.text("https://me:p%22ss%5Cw%C3%B6rd%2F%091@host") == "https://me:***@host"


def test_a_secret_of_several_lines_is_found_line_by_line() -> None:
    masker = Masker({"-----BEGIN KEY-----\nMIIEowIBAAKCAQEA1\nx\n-----END KEY-----": "KEY"})
    assert masker.text("12:00 -----BEGIN KEY-----\n12:00 MIIEowIBAAKCAQEA1\n") == "12:00 -----BEGIN KEY-----\n12:00 ***\n"


def streamed(masker: Masker, pieces: list[bytes]) -> bytes:
    out: list[bytes] = []
    stream = masker.stream(out.append)
    for piece in pieces:
        stream.feed(piece)
    stream.flush()
    return b"".join(out)


@given(
    some.lists(some.text(alphabet="abc1", min_size=6, max_size=9), min_size=1, max_size=4),
    some.lists(some.one_of(some.text(alphabet="abc1", max_size=12), some.integers(0, 3)), max_size=8),
    some.lists(some.integers(1, 9), min_size=1, max_size=20),
)
def test_no_cut_of_a_stream_lets_a_secret_through(secrets: list[str], parts: list[str | int], cuts: list[int]) -> None:
    masker = Masker(dict.fromkeys(secrets, "S"))
    data = "".join(secrets[part % len(secrets)] if isinstance(part, int) else part for part in parts).encode()
    pieces, place = [], 0
    while place < len(data):
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(data[place : place + step])
        place += step
    told = streamed(masker, pieces)
    assert not any(secret.encode() in told for secret in secrets)
    assert told == masker.data(data)


def test_what_can_be_no_secret_is_handed_on_at_once() -> None:
    out: list[bytes] = []
    stream = Masker({KEY: "K"}).stream(out.append)
    stream.feed(b"Go on? [y/N] ")
    assert out == [b"Go on? [y/N] "]


def test_a_secret_longer_than_any_piece_is_masked_too() -> None:
    long = "".join(f"{number:06d}" for number in range(1000))
    assert long[:2000] not in Masker({long: "BLOB"}).text(f"a {long} b")
    assert b"000500" not in streamed(Masker({long: "BLOB"}), [f"a {long} b".encode()])


def test_it_costs_the_same_for_each_byte() -> None:
    masker = Masker({f"{'a' * 500}{number}-secret-value": f"S{number}" for number in range(40)})
    began = time.process_time()
    data = streamed(masker, [b"x" * 60_000 + b"a" * 5536] * 100)
    assert len(data) == 6_553_600
    assert time.process_time() - began < 10


def test_the_end_of_a_long_key_is_masked_too_since_programs_show_it() -> None:
    key = "sk-ant-api03-" + "".join(chr(ord("a") + number % 26) + str(number % 7) for number in range(40))
    mask = Masker({key: "K"})
    assert mask.text(f"key: sk-ant-...{key[-20:]}, or {key}") == "key: sk-ant-...***, or ***"
    assert mask.text(key[:20]) == key[:20]
    assert Masker({"a short one": "K"}).text("short one") == "short one"
    assert (
        Masker({"x" * 40 + "\n-----END PRIVATE KEY-----": "K"}).text("-----END PRIVATE KEY-----") == "-----END PRIVATE KEY-----"
    )
