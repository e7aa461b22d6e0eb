"""Where secrets are looked for, beside the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.core.masking import Masker
from orchestrator.store import secrets

KEY = "5f4dcc3b5aa765d61d83"


@pytest.mark.parametrize("name", [".env", ".env.local", ".env.production", ".env.test.local"])
def test_a_projects_env_files_are_read_also_for_what_only_reads_like_a_key(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f'export ODD="{KEY}"\nPASSWORD=correct-horse\nMODE=production\nbroken line\n')
    mask = secrets.collect({}, (tmp_path,))
    assert mask.text(f"{KEY} correct-horse production") == "*** *** production"


def test_variables_that_a_command_sets_count(tmp_path: Path) -> None:
    command = f"API_KEY={KEY} OTHER=harmless-words MY_TOKEN='with some space' run; cd x"
    assert secrets.collect({}, commands=(command,)).text(f"{KEY} harmless-words with some space") == "*** harmless-words ***"


@pytest.mark.parametrize(
    "address", [f"https://{KEY}@host/x.git", f"https://me:{KEY}@host/x.git", f"https://x-access-token:{KEY}@host/x"]
)
def test_a_login_in_the_address_of_a_remote_counts(tmp_path: Path, address: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text(f'[remote "origin"]\n\turl = {address}\n')
    mask = secrets.collect({}, (tmp_path,))
    assert KEY not in mask.text(f"origin\t{address} (fetch)")
    assert mask.named(KEY.encode()) == ("a git remote",)


@pytest.mark.parametrize(
    "login",
    [
        {"tokens": {"id_token": f"eyJ.{KEY}", "account_id": "x"}, "OPENAI_API_KEY": None},
        {"claudeAiOauth": {"accessToken": f"sk-{KEY}", "expiresAt": 1}},
        {"anthropic": {"type": "oauth", "refresh": f"r-{KEY}"}},
        {"copilot_tokens": {"https://example.org:me": f"gho_{KEY}"}},
        {"providers": [{"models": [{"id": "claude-4-5-20250929"}], "apiKey": KEY}]},
    ],
)
def test_a_login_that_an_agent_keeps_in_a_file_or_a_variable_is_a_secret(tmp_path: Path, login: dict[str, object]) -> None:
    (tmp_path / "auth.json").write_text(json.dumps(login))
    for found in (
        secrets.in_logins((f"{tmp_path}/auth.json", "NOT_SET"), {}),
        secrets.in_logins(("ITS_CONFIG",), {"ITS_CONFIG": json.dumps(login)}),
    ):
        assert KEY not in Masker(found).text(json.dumps(login))
        assert len(found) == 1


def test_what_a_login_file_says_beside_its_keys_is_no_secret(tmp_path: Path) -> None:
    told = {"apiKey": "MY_PROVIDER_API_KEY", "id": "claude-sonnet-4-5-20250929", "token_type": "Bearer", "tokens": [7, None]}
    (tmp_path / "models.json").write_text(json.dumps(told))
    (tmp_path / "broken.json").write_text('{"token": "' + KEY)
    (tmp_path / ".env").write_text(f"MSWEA_KEY={KEY}\n")
    assert secrets.in_logins((f"{tmp_path}/models.json", f"{tmp_path}/broken.json", "PLAIN"), {"PLAIN": KEY}) == {}
    assert secrets.in_logins((f"{tmp_path}/.env",), {}) == {KEY: "MSWEA_KEY"}


def test_what_is_not_there_or_can_not_be_read_holds_none(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / ".env.local").write_bytes(b"\xff\xfe\x00API_KEY")
    assert secrets.collect({}, (tmp_path, tmp_path / "nowhere")).text(KEY) == KEY
