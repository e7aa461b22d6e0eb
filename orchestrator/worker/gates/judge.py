"""The judge: a model that reads the change and says yes or no, in a checkout that is thrown away. No usable word is a no."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.agents.log import readable
from orchestrator.agents.protocol import Request, Traits
from orchestrator.agents.routing import NO_AGENT, Route, Router
from orchestrator.core import judging
from orchestrator.core.convergence import backoff
from orchestrator.core.gates import Gate, Mode
from orchestrator.core.judging import Judgement
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Reason
from orchestrator.core.record import Pause
from orchestrator.core.task import State
from orchestrator.core.terminal import visible
from orchestrator.core.value import Value
from orchestrator.errors import AgentError
from orchestrator.store import clearing, templates
from orchestrator.worker import channel, metering, prompt, refusals, routes, sessions
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates.trial import Trial
from orchestrator.worker.work import Ending, Leaving, Work

DIFF = 40_000  # characters of the change in the prompt; the rest it asks git for
ASKED = 2  # times, where an answer can't be used
AGAIN = "You were asked this before, and your answer could not be used: {problem}. Give a verdict of the form above."


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unusable(Value):
    """An answer that is no verdict, and why."""

    problem: str = ""
    text: str = ""


def judge(trial: Trial, gate: Gate) -> Verdict:
    """What the judge says of the change, with its evidence; a no where there is nothing to judge or no verdict to use.

    An answer that can't be used says nothing of the work, so it is asked for once more: cheaper than an agent's attempt at
    what nobody found wrong."""
    patch = trial.patch()
    if not patch.strip():
        return Verdict(gate.name, False, "there is nothing to judge: the change is empty")
    unusable = Unusable()
    for _ in range(ASKED):
        said = _asked(trial, gate, patch, unusable.problem)
        if isinstance(said, Verdict):
            return said
        unusable = said
    problem = f"the judge gave no verdict that can be used: {unusable.problem}"
    return Verdict(gate.name, False, problem, output=unusable.text[-2000:])


def refuse_unable(work: Work, gate: Gate) -> None:
    """Before an attempt is paid for that this judge has to let land: raises AgentError where nobody knows it or it isn't here."""
    route = _route(work, gate)
    lack = routes.lacking(work, route.agent, gate.command or work.settings.agent_cmd)
    if lack and gate.means is Mode.BLOCK:
        raise AgentError(f"The judge can't be asked: {lack.message}", hint=lack.hint)


def _asked(trial: Trial, gate: Gate, patch: str, problem: str) -> Verdict | Unusable:
    """What it says in a checkout of its own; `problem` is why what it said before can't be used."""
    place = trial.work.scratch / f"judge-{os.urandom(4).hex()}"
    try:
        trial.space.throw_away(place, trial.commit)
        outcome, text = _heard(trial, gate, place, _text(trial, gate, patch, problem))
        if outcome.end is not AgentEnd.FINISHED:
            return Verdict(gate.name, False, f"the judge gave no verdict: it ended as {outcome.end}. {outcome.detail}".strip())
        return _verdict(trial, gate, place, patch, text)
    finally:
        clearing.remove(place)


def _verdict(trial: Trial, gate: Gate, place: Path, patch: str, text: str) -> Verdict | Unusable:
    try:
        said = judging.read(text)
        _grounded(said, place, patch)
    except ValueError as error:
        return Unusable(str(error), text)
    reason = f"{said.summary}{_disagreement(said, trial.said)}"
    return Verdict(gate.name, said.passes, reason, places=tuple(map(str, said.evidence)))


def _grounded(said: Judgement, place: Path, patch: str) -> None:
    """Evidence is about what is there or was changed; a file that nobody knows is made up. Raises ValueError."""
    for each in said.evidence:
        path = each.file.removeprefix("./")
        there = not Path(path).is_absolute() and ".." not in Path(path).parts and (place / path).is_file()
        if not there and f" a/{path}\n" not in patch.replace(" b/", " a/").replace("\r", ""):
            raise ValueError(f"its evidence is about {each.file[:200]}, which is not there and was not changed")


def _disagreement(said: Judgement, others: Iterable[Verdict]) -> str:
    named = [verdict.name for verdict in others if verdict.ok is not said.passes]
    agreeing = [verdict.name for verdict in others if verdict.ok is said.passes]
    if not named or (agreeing and not said.passes):
        return ""
    verb, word = "says" if len(named) == 1 else "say", "no" if said.passes else "yes"
    return f" (in disagreement with {', '.join(named)}, which {verb} {word})"


def _heard(trial: Trial, gate: Gate, place: Path, text: str) -> tuple[AgentOutcome, str]:
    """Hold the session: how it ended, and what it left as its word."""
    work = trial.work
    worked, work.route = work.route, _route(work, gate)
    verdict = work.scratch / f"verdict-{os.urandom(4).hex()}.json"
    try:
        outcome = _session(work, gate, place, text, verdict)
        _away(work, outcome)
        return outcome, channel.read(verdict, judging.LARGEST).decode(errors="replace") or outcome.said
    finally:
        work.route = worked
        verdict.unlink(missing_ok=True)


def _route(work: Work, gate: Gate) -> Route:
    """Who judges: the agent that the gate names, its own command, else whoever would work on the task."""
    router, spec = Router(work.settings), work.spec
    if gate.agent or gate.command or gate.model:
        spec = replace(spec, agent=gate.agent or ("exec" if gate.command else None), model=gate.model, effort=gate.effort)
    spec = replace(spec, fallback=())
    if problem := router.problem(spec):
        raise AgentError(f"The judge can't be asked: {problem}.", hint="Correct it where the gate `judge` is asked for.")
    chain = router.chain(spec)
    if not chain:
        raise AgentError("No agent is configured for the judge.", hint=NO_AGENT)
    return router.fitted(chain[0])


def _session(work: Work, gate: Gate, place: Path, text: str, verdict: Path) -> AgentOutcome:
    assert work.route is not None
    agent = routes.agent(work, work.route.agent)
    asked = _request(work, gate, place, text, verdict, agent.traits)
    work.event("judge_started", agent=agent.name, model=work.route.model)
    outcome = sessions.hold(work, agent, asked, _folder(work, text))
    work.pulse.check()
    outcome = metering.counted(work, refusals.settled(work, outcome))
    work.event("judge_ended", end=outcome.end.value, detail=outcome.detail)
    return outcome


def _request(work: Work, gate: Gate, place: Path, text: str, verdict: Path, traits: Traits) -> Request:
    number = max(work.number, 1)
    env = {**work.environment(place, number, traits.environment), "ORCH_VERDICT_FILE": str(verdict)}
    asked = sessions.request(work, place, text, work.scratch / "judged", work.scratch / "judge.md", env)
    return replace(asked, attempt=number, cmd=gate.command or asked.cmd, phase="judge")


def _text(trial: Trial, gate: Gate, patch: str, problem: str) -> str:
    spec, cut = trial.work.spec, "\n[…] (cut here; git shows all of it)" if len(patch) > DIFF else ""
    lines = [f"- {each.name}: {'yes' if each.ok else 'no'}; {each.reason}" for each in trial.said]
    values = {
        "title": " ".join((spec.title or trial.work.name).split()),
        "commit": trial.commit,
        "base": trial.base,
        "goal": spec.goal or spec.title,
        "acceptance": spec.acceptance,
        "constraints": spec.constraints,
        "ask": gate.ask,
        "verdicts": readable("\n".join(lines)).strip(),
        "diff": prompt.fenced(visible(patch[:DIFF]).strip(), "diff") + cut,
    }
    again = f"\n{AGAIN.format(problem=problem)}\n" if problem else ""
    return trial.work.mask.text(prompt.render(templates.read("judge.md"), values) + again)


def _folder(work: Work, text: str) -> Path:
    """Where its logs go: beside the attempt it judges, where that has a folder."""
    number = max(work.number, work.record.attempts)
    if not (work.claim.control / "attempts" / f"{number:04d}").is_dir():
        folder = work.scratch / "judge.logs"
        folder.mkdir(exist_ok=True)
        return folder
    folder = work.claim.mkdir(f"attempts/{number:04d}/judge")
    work.claim.write(f"attempts/{number:04d}/judge/prompt.md", text.encode(errors="surrogateescape"))
    return folder


def _away(work: Work, outcome: AgentOutcome) -> None:
    """A judge at a limit, or not logged in, has said nothing of the work: the claim ends, and the next one asks again.

    Raises Leaving. A kill before that is the same: what was not counted yet is found by its ref.
    """
    assert work.route is not None
    if outcome.end is AgentEnd.AUTH:
        raise Leaving(refusals.unauthorised(work, outcome))
    if outcome.end is not AgentEnd.RATE_LIMITED:
        return
    now, settings = work.now(), work.settings
    ahead = (outcome.reset_at or 0.0) - now
    if ahead <= 0:
        ahead = backoff(work.record.backoffs, settings.backoff, settings.backoff_max)
    until = now + min(ahead, settings.limit_wait)
    work.save(
        pauses={**work.record.pauses, work.route.account: Pause(now, until, outcome.detail)}, backoffs=work.record.backoffs + 1
    )
    work.event("limit", agent=work.route.agent, account=work.route.account, until=round(until, 3), detail=outcome.detail)
    raise Leaving(Ending(State.PENDING, Reason.RATE_LIMITED, f"the judge: {outcome.detail}", until))
