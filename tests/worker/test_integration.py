"""The base looked at after a set of landings: up to where it is green, who made it red, and nothing lost by a stop on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.desk import Desk, me

from orchestrator.core.integration import Red, first_red
from orchestrator.core.task import State
from orchestrator.git import integrated, repository
from orchestrator.store import integrations, locks
from orchestrator.worker import integration

MADE = '#!/bin/sh\n[ -e "$ORCH_TASK" ] && echo METRIC left=0 || echo METRIC left=1\n'
REF = "refs/orchestrator-meta/integrated/main"


@pytest.fixture
def landings(desk: Desk) -> Desk:
    """Each task makes a file of its own name."""
    desk.agent("touch $ORCH_TASK")
    desk.set(converge=1)
    return desk


def land(desk: Desk, name: str, command: str | None = None) -> str:
    """Let a task land, with the integration command that is set then; the base's tip."""
    desk.drop(name, benchmark=MADE)
    desk.set(integration_cmd=command and f"echo $PWD >> {desk.top}/runs; {command}")
    desk.serve(name)
    assert desk.state(name) is State.CONVERGED
    return desk.main


def runs(desk: Desk) -> int:
    file = desk.top / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


def red(desk: Desk) -> Red | None:
    found = integrated.standing(integrations.every(desk.queue))
    assert len(found) < 2
    return found[0] if found else None


def green(desk: Desk) -> str:
    return desk.git("rev-parse", "-q", "--verify", REF, ok=False)


def test_a_green_base_is_remembered_up_to_its_tip(landings: Desk) -> None:
    tip = land(landings, "a", "test -e a")
    assert (green(landings), runs(landings), red(landings)) == (tip, 1, None)
    event = landings.events("a", "integration")[0]
    assert (event["ok"], event["commit"]) == (True, tip)
    assert not landings.worktree("a").exists()
    assert not landings.refs("refs/orchestrator/orchestrator-meta")


def test_it_is_looked_at_in_a_clean_checkout_of_the_tip_and_never_in_a_person_s(landings: Desk) -> None:
    land(landings, "a")
    (landings.repo / "untracked").touch()
    land(landings, "b", "test -e a -a -e b -a ! -e untracked && touch litter && echo done > a")
    assert green(landings) == landings.main
    assert str(landings.repo / ".worktrees") in (landings.top / "runs").read_text()
    (landings.repo / "untracked").unlink()


def test_while_somebody_else_waits_to_land_it_is_left_to_them(landings: Desk) -> None:
    landings.drop("a", benchmark=MADE)
    landings.set(integration_cmd=f"echo >> {landings.top}/runs")
    work, space = landings.opened("a")
    with locks.acquire(space.repo.landing_lock):
        integration.after_landing(work, space)
    assert (runs(landings), green(landings)) == (0, "")
    integration.after_landing(work, space)
    assert (runs(landings), green(landings)) == (1, landings.main)


def test_of_several_landings_the_one_that_broke_it_is_named(landings: Desk) -> None:
    last = land(landings, "before", "true")
    bad = [land(landings, name) for name in ("b1", "b2", "bad", "b3", "b4")][2]
    tip = land(landings, "good", "echo the plane is too heavy; test ! -e bad")
    found = red(landings)
    assert found is not None
    assert (found.commit, found.green, found.culprit, found.tasks) == (tip, last, bad, ("bad",))
    assert (green(landings), runs(landings)) == (last, 1 + 1 + 1 + 3)  # before; the tip, the last green one, six commits halved
    for name in ("bad", "good"):
        event = landings.events(name, "integration")[-1]
        assert (event["ok"], event["culprit"], event["tasks"]) == (False, bad, ["bad"])
        assert "the plane is too heavy" in event["output"]
    assert not landings.events("b1", "integration")
    assert found.told.startswith(f"main is red at {tip[:10]}, since task bad, commit {bad[:10]}: The integration command ended")
    assert "orchestrator undo bad" in found.next


def test_it_stays_red_without_being_searched_again_until_it_is_green(landings: Desk) -> None:
    land(landings, "before", "true")
    bad = land(landings, "bad", "test ! -e bad")
    before = runs(landings)
    tip = land(landings, "next", "test ! -e bad")
    found = red(landings)
    assert found is not None
    assert (found.commit, found.culprit, runs(landings)) == (tip, bad, before + 1)
    landings.git("rm", "-q", "bad")
    landings.git("commit", "-qm", "mended")
    tip = land(landings, "last", "test ! -e bad")
    assert (green(landings), red(landings)) == (tip, None)


def test_a_tip_that_was_looked_at_is_not_looked_at_again(landings: Desk) -> None:
    land(landings, "before", "true")
    land(landings, "bad", "test ! -e bad")
    before = runs(landings)
    landings.drop("nothing", benchmark="#!/bin/sh\necho METRIC left=0\n")
    landings.serve("nothing")
    assert runs(landings) == before


def test_what_is_red_where_it_was_green_names_nobody(landings: Desk) -> None:
    last = land(landings, "a", "true")
    land(landings, "b", "false")
    found = red(landings)
    assert found is not None
    assert (found.culprit, found.tasks) == (None, ())
    assert f"by now also at {last[:10]}" in found.told
    assert "flaky" in found.told


def test_a_base_that_was_never_green_names_nobody(landings: Desk) -> None:
    land(landings, "a", "false")
    found = red(landings)
    assert found is not None
    assert (found.culprit, found.green) == (None, None)
    assert "was not seen green before" in found.told
    land(landings, "b", "true")
    assert red(landings) is None


def test_a_command_that_hangs_or_is_not_there_names_nobody(landings: Desk) -> None:
    land(landings, "a", "true")
    landings.set(timeout=3)  # its agent has no more
    land(landings, "b", "[ ! -e b ] || sleep 60")
    found = red(landings)
    assert found is not None
    assert (found.culprit, "did not end within" in found.reason) == (None, True)
    landings.set(timeout=60)
    land(landings, "c", "no-such-program")
    found = red(landings)
    assert found is not None
    assert found.culprit is None


def test_a_landing_that_was_taken_back_is_not_named_for_what_is_red_now(landings: Desk) -> None:
    land(landings, "before", "true")
    first = land(landings, "bad-1")
    worse = land(landings, "bad-2", "test ! -e bad-1")
    found = red(landings)
    assert found is not None
    assert found.culprit == first
    landings.git("rm", "-q", "bad-1")
    landings.git("commit", "-qm", f"Revert\n\nTask: bad-1\nUndoes: {first}")
    land(landings, "next", "test ! -e bad-1 -a ! -e bad-2")
    found = red(landings)
    assert found is not None
    assert (found.culprit, worse != first) == (None, True)
    assert "taken back" in found.told


def test_a_batch_is_taken_back_once_each_of_its_tasks_is(landings: Desk) -> None:
    repo = repository.discover(landings.repo)

    def commit(*trailers: str) -> str:
        landings.git("commit", "-q", "--allow-empty", "-m", "\n".join(["Subject", "", *trailers]))
        return landings.main

    batch = commit("Task: a b", "Task: c")
    commit("Task: a b", f"Undoes: {batch}")
    assert integrated.taken_back(repo, batch, landings.main) is None
    last = commit("Task: c", f"Undoes: {batch}")
    commit("Task: d")
    assert integrated.taken_back(repo, batch, landings.main) == last


def test_a_rewritten_base_names_nobody_and_begins_anew(landings: Desk) -> None:
    land(landings, "a", "true")
    landings.git("reset", "-q", "--hard", "HEAD~1")
    land(landings, "b", "test ! -e b")
    found = red(landings)
    assert found is not None
    assert found.culprit is None
    tip = land(landings, "c", "true")
    assert (green(landings), red(landings)) == (tip, None)


def test_a_setup_that_fails_on_the_base_is_red(landings: Desk) -> None:
    landings.drop("a", benchmark=MADE)
    landings.set(integration_cmd="true")
    work, space = landings.opened("a")
    work.settings = replace(work.settings, hooks={"after_create": "echo no compiler; false"})
    integration.after_landing(work, space)
    found = red(landings)
    assert found is not None
    assert "the setup fails" in found.reason
    assert "no compiler" in found.output


def test_a_stop_in_the_middle_costs_the_task_nothing_and_the_next_landing_looks_at_everything(landings: Desk) -> None:
    last = land(landings, "before", "true")
    bad = land(landings, "bad", f"kill -TERM {me()}; sleep 60")
    assert (green(landings), red(landings)) == (last, None)
    land(landings, "good", "test ! -e bad")
    found = red(landings)
    assert found is not None
    assert (found.culprit, found.tasks) == (bad, ("bad",))


def test_only_one_looks_at_a_time(landings: Desk) -> None:
    (landings.repo / ".git/orchestrator").mkdir()
    with locks.acquire(landings.repo / ".git/orchestrator/integration.lock"):
        land(landings, "a", "true")
    assert (runs(landings), green(landings)) == (0, "")
    land(landings, "b", "true")
    assert (runs(landings), green(landings)) == (1, landings.main)


def test_work_that_lands_nothing_looks_at_nothing(landings: Desk) -> None:
    landings.drop("a", front="land: branch", benchmark=MADE)
    landings.set(integration_cmd=f"echo >> {landings.top}/runs")
    landings.serve("a")
    assert (landings.state("a"), runs(landings)) == (State.CONVERGED, 0)


@pytest.mark.parametrize("count", range(1, 18))
def test_the_first_red_of_many_is_found_by_few_looks(count: int) -> None:
    for culprit in range(count):
        asked: list[int] = []
        assert (
            first_red(count, lambda number, asked=asked, culprit=culprit: not asked.append(number) and number >= culprit)
            == culprit
        )
        assert len(asked) <= (count - 1).bit_length()


def test_a_torn_file_is_no_fact(landings: Desk) -> None:
    land(landings, "a", "false")
    for file in Path(landings.queue.control, integrations.FOLDER).iterdir():
        file.write_text('{"schema": 1, "base": "ma')
    assert red(landings) is None
