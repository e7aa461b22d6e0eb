"""`land: pr`: the verified branch is pushed, that and nothing else, and a pull request says what it is worth.

A SIGKILL before the push leaves nothing; after it, the branch there, which `remotes.tip` finds; after the pull request was
opened, that one, which the tracker finds by the branch; after the record, what the record says. So each step asks first
what is there, and whoever comes next does only what is missing.
"""

from __future__ import annotations

from dataclasses import replace
from shlex import quote

from orchestrator.core import convergence, reporting
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull, PullState
from orchestrator.core.record import Landed
from orchestrator.core.task import State
from orchestrator.errors import GitError
from orchestrator.git import kept, merge, remotes
from orchestrator.git.remotes import Remote
from orchestrator.store.failpoints import hit
from orchestrator.trackers import registry
from orchestrator.trackers.protocol import Draft, Opened, Tracker, TrackerError, Where
from orchestrator.worker import report
from orchestrator.worker.landing import LandEnd, LandOutcome
from orchestrator.worker.work import Ending, Work, blocked
from orchestrator.worker.workspace import Workspace

TRIES = 6  # waits in a row, each twice as long, until a person is told
BODY = 60_000  # characters; GitHub takes 65,536


def propose(work: Work, space: Workspace) -> LandOutcome:
    """Push the branch and open its pull request, or bring that up to date."""
    base, branch = str(work.record.base), str(work.record.branch)
    if merge.contains(space.repo, space.base_tip(work), space.tip):
        there = space.base_tip(work)
        return LandOutcome(LandEnd.LANDED, "no change", Landed(there, base, "none", merged=there))
    remote = remotes.of(space.repo, base)
    if remote is None:
        problem, fix = remotes.missing(space.repo, base)
        return stays(work, space, f"the repository has {problem} (`{fix}`)")
    try:
        if foreign := push(work, space, remote, branch):
            return LandOutcome(LandEnd.REFUSED, foreign)
        tracker = registry.find(work.settings.tracker) if work.settings.tracker else registry.of(remote.address)
        if tracker is None:
            return stays(
                work, space, f"pushed to {remote.name}, where no pull request can be opened (ORCH_TRACKER names who can)"
            )
        opened = publish(work, space, remote, tracker)
    except TrackerError as error:
        return LandOutcome(LandEnd.REFUSED if error.lasting else LandEnd.UNSENT, error.told)
    except GitError as error:
        return LandOutcome(LandEnd.UNSENT, work.mask.text(f"{branch} can't be pushed to {remote.name}: {error.stderr.strip()}"))
    return opened_as(work, space, remote, tracker, opened)


def stays(work: Work, space: Workspace, why: str) -> LandOutcome:
    again = f"once that is mended, `orchestrator queue {quote(work.name)}` opens one"
    return LandOutcome(LandEnd.LANDED, f"no pull request: {why}; {again}", Landed(space.tip, work.record.base, "branch"))


def push(work: Work, space: Workspace, remote: Remote, branch: str) -> str | None:
    """Make sure that the branch is there with our commit. Why it must not be, where somebody else's commits are on it."""
    there = remotes.tip(space.repo, remote, branch)
    if there == space.tip:
        return None
    ours = {each.commit for each in kept.attempts(space.repo, work.record.slug)}
    if there is not None and there not in ours and not _within(space, there):
        where = f"{branch} on {remote.name}"
        return f"{where} has commits of somebody else ({there[:10]}); take them into {branch} here, or remove it there"
    work.pulse.check()
    remotes.push(space.repo, remote, branch, space.tip, there)
    work.event("pushed", remote=remote.name, branch=branch, commit=space.tip)
    return None


def _within(space: Workspace, commit: str) -> bool:
    try:
        return merge.contains(space.repo, space.tip, commit)
    except GitError:  # a commit that was never here
        return False


def publish(work: Work, space: Workspace, remote: Remote, tracker: Tracker) -> Opened:
    """The pull request, told what is known of the work by now."""
    found = report.evidence(work)
    through = replace(work.record, reason=Reason.CONVERGED)  # it is, once the pull request is there
    found = replace(found, record=through, changes=report.changed(work.claim.folder, found))
    closes = f"\n\nCloses {closing}" if (closing := issue(work.spec.issue)) else ""
    body = f"{reporting.closed(reporting.page(found)[:BODY])}{closes}\n\nTask: {work.name}\n"
    text, title = work.mask.text(body), work.mask.text(" ".join((work.spec.title or work.name).split())[:200])
    draft = Draft(str(work.record.branch), str(work.record.base), space.tip, title, text, _known(work, tracker))
    hit("pull.publish:before")
    opened = tracker.publish(Where(space.repo.top, remote.address), draft)
    hit("pull.publish:after")
    return opened


def _known(work: Work, tracker: Tracker) -> int | None:
    pull = work.record.pull
    return pull.number if pull and pull.tracker == tracker.name else None


def opened_as(work: Work, space: Workspace, remote: Remote, tracker: Tracker, opened: Opened) -> LandOutcome:
    """Write down which pull request it is, and that what it asked for is answered."""
    before = work.record.pull
    same = before is not None and (before.tracker, before.number) == (tracker.name, opened.number)
    pull = Pull(tracker.name, remote.name, opened.number, opened.url, space.tip)
    pull = replace(before, head=space.tip) if before and same else pull
    landed = Landed(space.tip, work.record.base, "pr", opened.url, state=PullState.OPEN.value)
    work.save(pull=pull, demand=None)
    return LandOutcome(LandEnd.LANDED, landed=landed)


def issue(named: str | None) -> str | None:
    """How a pull request says which issue it closes: `#12`, `owner/name#12`, or the issue's address."""
    return f"#{named}" if named and named.isdecimal() else named


def unsent(work: Work, outcome: LandOutcome) -> Ending:
    """Nothing is lost: the work is verified and on its branch. Try again later, and after a while tell a person."""
    if outcome.end is LandEnd.REFUSED or work.record.backoffs >= TRIES:
        return blocked(Reason.REPO, outcome.detail)
    wait = convergence.backoff(work.record.backoffs, work.settings.backoff, work.settings.backoff_max)
    work.save(backoffs=work.record.backoffs + 1)
    return Ending(State.PENDING, Reason.BACKOFF, outcome.detail, not_before=work.now() + wait)
