"""Where secrets are looked for, beside the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_what_is_not_there_or_can_not_be_read_holds_none(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / ".env.local").write_bytes(b"\xff\xfe\x00API_KEY")
    assert secrets.collect({}, (tmp_path, tmp_path / "nowhere")).text(KEY) == KEY
