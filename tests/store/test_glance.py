"""What a glance at a spec tells of its place in the queue, and that it never waits or fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.store.snapshot import glance


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("---\npriority: 7\n---\n# T\n", 7),
        ("---\ntitle: x\npriority:   -3  # low\n---\n", -3),
        ('---\n"priority": +4\n---\n', 4),
        ("---\n{title: x, priority: 5}\n---\n", 5),
        ("---\ntitle: x\n---\npriority: 9\n", 0),
        ("# T\n\npriority: 9\n", 0),
        ("---\npriority: high\n---\n", 0),
        ("---\nenv: {OF: 1}\n  priority: 3\n---\n", 0),
        ("", 0),
    ],
)
def test_the_priority_of_the_front_matter_is_seen(tmp_path: Path, text: str, priority: int) -> None:
    (tmp_path / "autoresearch.md").write_text(text)
    assert glance(str(tmp_path)) == (-priority, (tmp_path / "autoresearch.md").stat().st_ctime, tmp_path.name)


def test_a_session_folder_is_looked_at_where_it_keeps_its_prompt(tmp_path: Path) -> None:
    (tmp_path / ".auto").mkdir()
    (tmp_path / ".auto/prompt.md").write_text("---\npriority: 2\n---\n")
    assert glance(str(tmp_path))[0] == -2


@pytest.mark.parametrize("kind", ["none", "fifo", "folder", "link", "binary"])
def test_whatever_lies_there_it_neither_waits_nor_fails(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "autoresearch.md"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "binary":
        path.write_bytes(b"---\xff\x00\xfe")
    assert glance(str(tmp_path))[0] == 0
