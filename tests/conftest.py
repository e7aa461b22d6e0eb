"""Every test starts from a bare environment: no settings of the machine, an identity for git, a home of its own.

The suite is a few thousand tests, most of which wait for processes: here is also how it shares a machine's cores.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support import install
from support.forks import MEASURE

TESTS = Path(__file__).parent
SLOW = ("crash", "test_project.py", "e2e", "agents", "loop", "cli")  # what begins first; the rest takes a tenth of a second each
LIVES = ("crash", "e2e")  # whole lives, in a thousand interpreters
CONFIG = """[user]
	name = A Person
	email = person@example.org
[init]
	defaultBranch = main
[maintenance]
	auto = false  # a process more for each commit, which finds that there is nothing to do
"""
MEMORY, ROOM = Path("/dev/shm"), 2 << 30  # bytes free there; the suite takes an eighth of them


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--install-agents",
        action="store_true",
        help="Install the pinned claude and codex by npm, as CI does, unless they are there.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """In CI, and where asked for, real agents are there before any test looks for them. And signals do what they do in a
    terminal: whoever starts the tests in the background, or by nohup, has them ignored by every process that is tested. And
    what they write lies in memory, unless TMPDIR says where: a third of their time goes into making and deleting files. And an
    example may take its time, on a machine that is busy with others."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    if "TMPDIR" not in os.environ and _fit(MEMORY):
        os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None
    wanted = config.getoption("--install-agents") or install.IN_CI
    if wanted and not hasattr(config, "workerinput") and (problem := install.install()):
        sys.stderr.write(f"{problem}\n")


def _fit(place: Path) -> bool:
    """Whether tests can live there: enough room, and programs may be started."""
    if not os.access(place, os.W_OK | os.X_OK):
        return False
    facts = os.statvfs(place)
    return facts.f_bavail * facts.f_frsize >= ROOM and not facts.f_flag & os.ST_NOEXEC


def pytest_xdist_auto_num_workers() -> int | None:
    """Two tests to a core where there are few: half of their time they wait for a process, a disk or a clock."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    return max(cores, min(2 * cores, 8))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none of them is left for the end; within a folder the order stays random."""
    items.sort(key=lambda item: next((place for place, name in enumerate(SLOW) if _below(item, name)), len(SLOW)))


def _below(item: pytest.Item, name: str) -> bool:
    return item.path.is_relative_to(TESTS / name)


@pytest.fixture(autouse=True)
def bare_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """No ORCH_ or GIT_ variable leaks in; HOME and the git configuration are the test's own. Interpreters may keep what they
    compile, which is half of their start; those of whole lives aren't measured, which would double it."""
    for name in [name for name in os.environ if name.startswith(("ORCH_", "GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    if any(_below(request.node, name) for name in LIVES):
        monkeypatch.delenv(MEASURE, raising=False)
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(CONFIG)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return home


@pytest.fixture(autouse=True)
def no_signal_left_blocked() -> Iterator[None]:
    """What a test blocks would stay blocked in every process that a later one starts, which then hears no request to end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    after = signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert after == before, f"left blocked: {after - before}"
