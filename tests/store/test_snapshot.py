"""What one look at a real queue on disk sees."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.lease import Identity, Lease
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.store import leases, records, snapshot
from orchestrator.store.cache import SpecCache
from orchestrator.store.queue import Queue

LATER = 1000.0


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "tasks")
    queue.ensure()
    return queue


def drop(queue: Queue, name: str, state: State = State.PENDING, spec: str = "# T\n") -> Path:
    folder = queue.folder(state) / name
    folder.mkdir()
    (folder / "autoresearch.md").write_text(spec)
    (folder / "benchmark.sh").write_text("echo METRIC x=0\n")
    return folder


def look(queue: Queue, name: str, *, after: float = LATER, cache: SpecCache | None = None) -> Candidate:
    """The task as it is seen so many seconds from now."""
    places = queue.places()
    place = next(place for place in places if place.folder == name)
    double = snapshot.duplicates(queue, places).get(place)
    return snapshot.candidate(queue, place, cache or SpecCache(), queue.now() + after, double=double)


def kinds(candidate: Candidate) -> list[WaitingKind]:
    return [hold.kind for hold in candidate.holds]


def test_a_fresh_drop_settles_until_nothing_changed_for_a_second(queue: Queue) -> None:
    drop(queue, "t")
    (early, late) = look(queue, "t", after=0.5), look(queue, "t", after=1.5)
    assert (kinds(early), kinds(late)) == ([WaitingKind.SETTLING], [])
    assert late.spec is not None
    assert late.problems == ()


def test_old_times_that_a_copy_kept_do_not_count(queue: Queue) -> None:
    folder = drop(queue, "t")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (1, 1))
    assert kinds(look(queue, "t", after=0)) == [WaitingKind.SETTLING]


def test_a_change_deep_inside_starts_the_settling_anew(queue: Queue) -> None:
    folder = drop(queue, "t")
    (folder / "a/b").mkdir(parents=True)
    now = queue.now()
    (place,) = queue.places()
    assert snapshot.candidate(queue, place, SpecCache(), now + 5).holds == ()
    (folder / "a/b/data").write_text("x")
    deep = (folder / "a/b/data").stat().st_ctime
    assert kinds(snapshot.candidate(queue, place, SpecCache(), deep + 0.9)) == [WaitingKind.SETTLING]
    assert kinds(snapshot.candidate(queue, place, SpecCache(), deep + 1.1)) == []


def test_what_our_tools_put_there_is_ready_at_once(queue: Queue) -> None:
    folder = drop(queue, "t")
    (folder / ".orch").mkdir()
    (folder / ".orch/ready").touch()
    assert look(queue, "t", after=0).holds == ()


def test_writing_our_own_files_does_not_count_as_a_change(queue: Queue) -> None:
    folder = drop(queue, "t")
    newest = max(path.stat().st_ctime for path in folder.iterdir())
    (folder / ".orch").mkdir()
    (folder / ".orch/events.jsonl").write_text("x")
    (place,) = queue.places()
    assert snapshot.candidate(queue, place, SpecCache(), newest + 1.01).holds == ()


def test_a_clock_that_was_set_back_does_not_hold_a_task_for_ever(queue: Queue) -> None:
    drop(queue, "t")
    assert kinds(look(queue, "t", after=-30)) == [WaitingKind.SETTLING]
    assert kinds(look(queue, "t", after=-86_400)) == []


@pytest.mark.parametrize("name", [".autoresearch.md.swp", ".autoresearch.md.swo", ".#autoresearch.md", ".benchmark.sh.kate-swp"])
def test_a_folder_that_an_editor_holds_open_is_left_alone(queue: Queue, name: str) -> None:
    folder = drop(queue, "t")
    if name.startswith(".#"):
        (folder / name).symlink_to("person@host.1:2")  # emacs locks with a link that leads nowhere
    else:
        (folder / name).touch()
    found = look(queue, "t")
    assert kinds(found) == [WaitingKind.EDITOR]
    assert name in found.holds[0].detail


@pytest.mark.parametrize("name", ["autoresearch.md~", "4913", ".hidden", "x.swp"])
def test_other_traces_of_editors_hold_nothing(queue: Queue, name: str) -> None:
    (drop(queue, "t") / name).touch()
    assert look(queue, "t").holds == ()


def test_a_broken_spec_is_shown_with_its_place_and_is_no_candidate(queue: Queue) -> None:
    folder = drop(queue, "t", spec="---\npriority: high\n---\n# T\n")
    found = look(queue, "t")
    assert found.spec is None
    assert found.problems == (f"{folder}/autoresearch.md:2:11: found `priority: high`, expected a whole number",)


def test_a_task_without_spec_or_benchmark_is_shown(queue: Queue) -> None:
    (queue.folder(State.PENDING) / "empty").mkdir()
    bare = drop(queue, "bare")
    (bare / "benchmark.sh").unlink()
    assert "no autoresearch.md" in look(queue, "empty").problems[0]
    assert "no benchmark" in look(queue, "bare").problems[0]
    assert look(queue, "bare").spec is not None


def test_a_task_whose_holdout_is_missing_is_no_candidate_until_it_is_there(queue: Queue) -> None:
    folder = drop(queue, "t", spec="---\nholdout: hidden.sh\n---\n# T\n")
    assert "no file hidden.sh, expected the holdout" in look(queue, "t").problems[0]
    (folder / "hidden.sh").write_text("echo METRIC left=0\n")
    assert look(queue, "t").problems == ()


@pytest.mark.parametrize(
    ("name", "spec", "told"),
    [
        ("check.sh", "# T\n", True),
        ("Checks.sh", "# T\n", True),
        ("checks.py", "# T\n", True),
        ("checks.py", "---\nholdout: python3 $ORCH_TASK_DIR/checks.py\n---\n# T\n", False),
        ("checks.sh", "# T\n", False),
        ("checks.md", "# T\n", False),
        ("recheck.sh", "# T\n", False),
    ],
)
def test_a_script_of_checks_by_another_name_is_told(queue: Queue, name: str, spec: str, told: bool) -> None:
    """Nobody ran it, nothing said so, and work landed unchecked."""
    folder = drop(queue, "x", spec=spec)
    (folder / name).write_text("exit 1\n")
    found = look(queue, "x").spec
    assert found is not None
    assert [line.partition(" Did you mean ")[2] for line in found.misspelt] == (["`checks.sh`?"] if told else [])


@pytest.mark.parametrize(
    ("name", "line"), [("check.sh", 'sh "$ORCH_TASK_DIR/check.sh"'), ("checks.py", "python3 -c 'import checks'")]
)
def test_a_script_of_checks_that_the_benchmark_runs_is_not_told(queue: Queue, name: str, line: str) -> None:
    folder = drop(queue, "x")
    (folder / name).write_text("exit 1\n")
    (folder / "benchmark.sh").write_text(f"{line}\n")
    found = look(queue, "x").spec
    assert found is not None
    assert found.misspelt == ()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("benchmark: cd $ORCH_TASK_DIR && sh x.sh", ""),
        ("benchmark: ./x.sh 4", "$ORCH_TASK_DIR/x.sh"),
        ("benchmark: sh $ORCH_TASK_DIR/x.sh", ""),
        ("benchmark: x.sh", ""),
        ("holdout: ./x.sh", ""),
        ("holdout: python3 'x.sh'", "$ORCH_TASK_DIR/x.sh"),
        ("gates: {own: sh x.sh}", "checks.sh"),
        ("gates: {own: sh $ORCH_TASK_DIR/x.sh}", "checks.sh"),
        ("gates: {own: {command: sh x.sh, mode: off}}", ""),
        ("gates: {own: sh tools/x.sh}", ""),
    ],
)
def test_a_command_that_names_a_file_beside_the_spec_is_told_that_it_runs_elsewhere(queue: Queue, line: str, meant: str) -> None:
    """A gate that wasn't found failed each attempt, agents and all."""
    folder = drop(queue, "x", spec=f"---\n{line}\n---\n# T\n")
    (folder / "x.sh").write_text("exit 0\n")
    found = look(queue, "x").spec
    assert found is not None
    assert [told.partition(" Did you mean ")[2] for told in found.misspelt] == ([f"`{meant}`?"] if meant else [])


def test_a_linked_task_or_spec_is_shown(queue: Queue, tmp_path: Path) -> None:
    folder = drop(queue, "real")
    (queue.folder(State.PENDING) / "linked").symlink_to(folder)
    other = drop(queue, "other")
    (other / "autoresearch.md").unlink()
    (other / "autoresearch.md").symlink_to(folder / "autoresearch.md")
    assert "a symbolic link" in look(queue, "linked").problems[0]
    assert "a symbolic link" in look(queue, "other").problems[0]


def test_a_link_is_shown_as_one_whatever_it_leads_to(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "busy").mkdir()
    (queue.folder(State.PENDING) / "linked").symlink_to(tmp_path / "busy")
    (tmp_path / "busy/just-written").touch()
    seen = look(queue, "linked", after=0)
    assert "a symbolic link" in seen.problems[0]
    assert kinds(seen) == []


@pytest.mark.parametrize("name", ["-dash", ".hidden", "new\nline", "x" * 201, "bell\x07"])
def test_names_that_no_task_can_have_are_shown(queue: Queue, name: str) -> None:
    drop(queue, name)
    if name.startswith("."):
        return
    assert "can't be a task's name" in look(queue, name).problems[0]


@pytest.mark.parametrize("name", ["with space", "käse", "日本語", "a.b", "x" * 200, "$(rm)", "a'b\"c", "{x}"])
def test_odd_names_are_names(queue: Queue, name: str) -> None:
    drop(queue, name)
    assert look(queue, name).problems == ()


def test_a_second_folder_of_one_name_is_shown_with_both_paths(queue: Queue) -> None:
    first = drop(queue, "twice", State.BLOCKED)
    second = drop(queue, "twice")
    found = {candidate.place.state: candidate.problems for candidate in snapshot.read_all(queue)}
    assert found[State.BLOCKED] == ()
    assert str(first) in found[State.PENDING][0]
    assert str(second) in found[State.PENDING][0]


def test_a_task_whose_last_worker_still_stops_waits_for_it(queue: Queue) -> None:
    folder = drop(queue, "t")
    (folder / ".orch").mkdir()
    lock = queue.owners.acquire()
    leases.write(folder, Lease(lock.token, Identity("here", 4711, 1.0, "boot")))
    found = look(queue, "t")
    assert kinds(found) == [WaitingKind.STOPPING]
    assert "4711" in found.holds[0].detail
    lock.drop()
    assert look(queue, "t").holds == ()


def test_a_running_task_has_its_lease_heartbeat_and_record(queue: Queue) -> None:
    folder = drop(queue, "t.abc123", State.RUNNING)
    (folder / ".orch").mkdir()
    leases.write(folder, Lease("abc123", Identity("here", 4711, 1.0, "boot")))
    (folder / ".orch/state.json").write_bytes(records.render(Record("id", "t", folder.stat().st_ino, "t", attempts=3)))
    found = look(queue, "t.abc123", after=7)
    assert found.name == "t"
    assert found.lease is not None
    assert found.lease.owner.pid == 4711
    assert found.heartbeat_age is not None
    assert 6 <= found.heartbeat_age <= 8
    assert found.record is not None
    assert found.record.attempts == 3


def test_a_lease_of_another_token_counts_as_none(queue: Queue) -> None:
    folder = drop(queue, "t.abc123", State.RUNNING)
    (folder / ".orch").mkdir()
    leases.write(folder, Lease("ffffff", Identity("here", 4711, 1.0, "boot")))
    found = look(queue, "t.abc123")
    assert (found.lease, found.heartbeat_age) == (None, None)


@pytest.mark.parametrize("garbage", [b"", b"\xff\x00", b"[]", b'{"id": 1}'])
def test_a_broken_record_or_lease_is_none(queue: Queue, garbage: bytes) -> None:
    folder = drop(queue, "t")
    (folder / ".orch").mkdir()
    (folder / ".orch/state.json").write_bytes(garbage)
    (folder / ".orch/lease.json").write_bytes(garbage)
    found = look(queue, "t")
    assert (found.record, found.problems, found.holds) == (None, (), ())


def test_a_task_keeps_its_turn_through_moves(queue: Queue) -> None:
    drop(queue, "t")
    before = look(queue, "t").arrived
    place = queue.move(queue.find("t"), State.BLOCKED)
    queue.move(place, State.PENDING)
    assert look(queue, "t").arrived == before


def test_a_folder_that_went_away_is_one_that_settles(queue: Queue) -> None:
    folder = drop(queue, "t")
    (place,) = queue.places()
    shutil.rmtree(folder)
    found = snapshot.candidate(queue, place, SpecCache(), queue.now())
    assert (found.spec, found.problems, kinds(found)) == (None, (), [WaitingKind.SETTLING])


def test_reading_all_covers_the_states_asked_for(queue: Queue) -> None:
    for state, name in zip(State, ("a", "b.abc123", "c", "d"), strict=True):
        drop(queue, name, state)
    (queue.folder(State.PENDING) / "a-file").touch()
    assert {candidate.name for candidate in snapshot.read_all(queue)} == {"a", "b", "c", "d"}
    assert {candidate.name for candidate in snapshot.read_all(queue, states=[State.BLOCKED])} == {"d"}


def test_a_seen_spec_has_no_prose_with_or_without_the_cache(queue: Queue) -> None:
    drop(queue, "t", spec="# T\n## Goal\ng\n## Notes\nn\n")
    seen = [snapshot.candidate(queue, queue.find("t"), cache, queue.now() + LATER) for cache in _two_processes(queue)]
    assert seen[0].spec == seen[1].spec
    assert seen[0].spec is not None
    assert (seen[0].spec.goal, seen[0].spec.body, seen[0].spec.notes) == ("g", "", "")


def _two_processes(queue: Queue) -> list[SpecCache]:
    first = SpecCache.of(queue.control)
    snapshot.candidate(queue, queue.find("t"), first, queue.now() + LATER)
    first.save()
    return [first, SpecCache.of(queue.control)]


def test_a_warm_cache_parses_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "good")
    drop(queue, "bad", spec="---\na: [\n---\n")
    cache = SpecCache.of(queue.control)
    cold = [look(queue, name, cache=cache) for name in ("good", "bad")]
    cache.save()
    monkeypatch.setattr("orchestrator.store.specfile.read", _never)
    warm = SpecCache.of(queue.control)
    again = [look(queue, name, cache=warm) for name in ("good", "bad")]
    assert [(c.spec, c.problems) for c in again] == [(c.spec, c.problems) for c in cold]


def _never(folder: Path) -> None:
    raise AssertionError(f"{folder} was parsed again")


@pytest.mark.parametrize("edit", ["spec", "log", "new log"])
def test_an_edit_makes_the_cached_spec_worthless(queue: Queue, edit: str) -> None:
    config = '{"type":"config","metricName":"m","targetValue":%d}\n'
    folder = drop(queue, "t", spec="# Old\n")
    if edit == "log":
        (folder / "autoresearch.jsonl").write_text(config % 1)
    cache = SpecCache.of(queue.control)
    before = look(queue, "t", cache=cache)
    if edit == "spec":
        (folder / "autoresearch.md").write_text("# New title\n")
    else:
        (folder / "autoresearch.jsonl").write_text(config % 22)
    after = look(queue, "t", cache=cache)
    assert before.spec != after.spec


def test_a_task_that_moves_after_it_was_listed_is_seen_where_it_is_by_then(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "back", State.RUNNING)
    drop(queue, "blocked")
    drop(queue, "stays")
    drop(queue, "gone")
    moves = [("running/back", "pending/back"), ("pending/blocked", "blocked/blocked"), ("pending/gone", "gone")]
    listed = queue.places

    def places(states: Iterable[State] = State) -> list[Place]:
        found = listed(states)
        for before, after in moves:
            (queue.root / before).rename(queue.root / after)
        moves.clear()
        return found

    monkeypatch.setattr(queue, "places", places)
    seen = snapshot.read_all(queue, SpecCache())
    assert {each.name: each.place.state for each in seen} == {
        "stays": State.PENDING,
        "back": State.PENDING,
        "blocked": State.BLOCKED,
    }
    assert len(seen) == 3


def test_problems_are_shown_where_the_task_lies_now(queue: Queue) -> None:
    drop(queue, "t", spec="---\na: [\n---\n")
    cache = SpecCache.of(queue.control)
    look(queue, "t", cache=cache)
    queue.move(queue.find("t"), State.BLOCKED)
    assert str(queue.folder(State.BLOCKED) / "t") in look(queue, "t", cache=cache).problems[0]


def test_a_spec_changed_just_now_is_not_remembered(queue: Queue) -> None:
    drop(queue, "t")
    cache = SpecCache.of(queue.control)
    look(queue, "t", after=0, cache=cache)
    cache.save()
    assert not (queue.control / "cache/specs.json").exists()


def _cut(text: str) -> str:
    return text[: len(text) // 2]


def _other_version(text: str) -> str:
    return json.dumps({**json.loads(text), "version": "0.0.0"})


def _odd_entries(text: str) -> str:
    data = json.loads(text)
    odd = [None, 3, {"metrics": 3}, {"nothing": 1}, {"land": "moon"}]
    data["entries"] = {inode: [entry[0], odd[0], []] for inode, entry in data["entries"].items()}
    return json.dumps(data)


@pytest.mark.parametrize("damage", [_cut, _other_version, _odd_entries, lambda _: "", lambda _: "[]", lambda _: "[" * 100_000])
def test_a_broken_cache_is_ignored(queue: Queue, damage: Callable[[str], str]) -> None:
    drop(queue, "t")
    cache = SpecCache.of(queue.control)
    before = look(queue, "t", cache=cache)
    cache.save()
    path = queue.control / "cache/specs.json"
    path.write_text(damage(path.read_text()))
    assert look(queue, "t", cache=SpecCache.of(queue.control)) == before


@pytest.mark.parametrize("spec", [3, {"metrics": 3}, {"nothing": 1}, {"land": "moon"}, {"metrics": [{"name": "x"}]}, []])
def test_an_entry_that_is_no_spec_is_read_anew(queue: Queue, spec: object) -> None:
    drop(queue, "t")
    cache = SpecCache.of(queue.control)
    before = look(queue, "t", cache=cache)
    cache.save()
    path = queue.control / "cache/specs.json"
    data = json.loads(path.read_text())
    data["entries"] = {inode: [entry[0], spec, []] for inode, entry in data["entries"].items()}
    path.write_text(json.dumps(data))
    assert look(queue, "t", cache=SpecCache.of(queue.control)) == before


def test_the_cache_forgets_tasks_that_are_gone(queue: Queue) -> None:
    for name in ("a", "b"):
        drop(queue, name)
    cache = SpecCache.of(queue.control)
    for name in ("a", "b"):
        look(queue, name, cache=cache)
    cache.save()
    shutil.rmtree(queue.folder(State.PENDING) / "a")
    next_one = SpecCache.of(queue.control)
    look(queue, "b", cache=next_one)
    next_one.save(prune=True)
    assert len(json.loads((queue.control / "cache/specs.json").read_text())["entries"]) == 1


def test_a_queue_that_may_not_be_written_is_read_all_the_same(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "t")
    shutil.rmtree(queue.control)
    found = snapshot.read_all(queue)
    assert [candidate.name for candidate in found] == ["t"]
    assert not queue.control.exists()


def test_a_huge_folder_is_looked_at_only_so_far(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MANY", 50)
    folder = drop(queue, "t")
    (folder / "data").mkdir()
    for number in range(200):
        (folder / "data" / str(number)).mkdir()
    assert look(queue, "t").spec is not None


def test_among_many_files_the_benchmark_is_found(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MANY", 50)
    folder = drop(queue, "t")
    for number in range(200):
        (folder / f"{number}.csv").touch()
    found = look(queue, "t")
    assert (found.spec is not None, found.problems) == (True, ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_shown(queue: Queue) -> None:
    folder = drop(queue, "t")
    folder.chmod(0)
    try:
        assert "permission denied" in look(queue, "t").problems[0]
    finally:
        folder.chmod(0o755)
