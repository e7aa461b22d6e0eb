"""Every test starts from a bare environment: no settings of the machine, an identity for git, a home of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import install


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--install-agents",
        action="store_true",
        help="Install the pinned claude and codex by npm, as CI does, unless they are there.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """In CI, and where asked for, real agents are there before any test looks for them."""
    wanted = config.getoption("--install-agents") or install.IN_CI
    if wanted and not hasattr(config, "workerinput") and (problem := install.install()):
        sys.stderr.write(f"{problem}\n")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No ORCH_ or GIT_ variable leaks in; HOME and the git configuration are the test's own."""
    for name in [name for name in os.environ if name.startswith(("ORCH_", "GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text("[user]\n\tname = A Person\n\temail = person@example.org\n[init]\n\tdefaultBranch = main\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return home
