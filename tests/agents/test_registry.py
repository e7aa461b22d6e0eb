from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.agents import registry
from orchestrator.errors import AgentError

GOOD = """
from orchestrator.agents.protocol import Traits
class Good:
    name = "good"
    traits = Traits()
    def check(self, *, cmd=None): ...
    def command(self, request): ...
    def events(self, line, stream): return ()
    def outcome(self, finished, closing): ...
class NoAgent:
    name = "not"
    def check(self): ...
"""


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution as an installer would leave it, with one good plug-in and three broken ones."""
    (tmp_path / "plug_in_good.py").write_text(GOOD)
    (tmp_path / "plug_in_broken.py").write_text("import no_such_module_anywhere")
    info = tmp_path / "plug_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1.0\n")
    broken = "not = plug_in_good:NoAgent\nbroken = plug_in_broken:X\nnowhere = plug_in_good:Y\n"
    entries = f"good = plug_in_good:Good\n{broken}exec = plug_in_broken:X\n"
    (info / "entry_points.txt").write_text(f"[orchestrator.agents]\n{entries}")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("plug_in_good", "plug_in_broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_ours_are_there() -> None:
    for name in registry.OURS:
        assert registry.get(name).name == name


@pytest.mark.usefixtures("plug_ins")
def test_a_plug_in_is_found_by_its_name_and_cannot_replace_ours() -> None:
    assert registry.get("good").name == "good"
    assert type(registry.get("exec")).__module__ == "orchestrator.agents.exec"


@pytest.mark.usefixtures("plug_ins")
def test_an_unknown_agent_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(AgentError) as caught:
        registry.get("cluade")
    assert "'cluade'" in caught.value.message
    assert all(name in caught.value.hint for name in ("exec", "scripted", "good", "broken"))


@pytest.mark.usefixtures("plug_ins")
@pytest.mark.parametrize(
    ("name", "says"),
    [("broken", "no_such_module_anywhere"), ("nowhere", "AttributeError"), ("not", "has no command, events, outcome")],
)
def test_a_broken_plug_in_is_named_with_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(AgentError, match=says) as caught:
        registry.get(name)
    assert repr(name) in caught.value.message


@pytest.mark.usefixtures("plug_ins")
def test_broken_plug_ins_are_warnings_and_take_nothing_else_with_them() -> None:
    agents, warnings = registry.load_all()
    assert {"exec", "scripted", "good"} <= set(agents)
    assert len(warnings) == 3


def test_looking_up_one_of_ours_does_not_search_for_plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entry_points", lambda: pytest.fail("searched"))
    assert registry.get("scripted").name == "scripted"
