"""The answer to a request: where the conversation stands in the script, and what the model says there."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from orchestrator.modelserver import tools
from orchestrator.modelserver.conversation import Answer, Ask, Call, End, Entry, Form, Speaker, Usage
from orchestrator.modelserver.faults import altered
from orchestrator.modelserver.script import DONE, Fault, Scene, Script, Text, Turn
from orchestrator.modelserver.texts import SUBMIT, as_text, implied, submitting

ENDLESS = Turn(finish=DONE)
UNSCRIPTED = Turn(finish="The script has nothing for this prompt.")
# A call's id says what follows it: n3, turn 3 comes next; w3, it was turn 3's file, which a shell writes if this fails.
MARK = re.compile(r"_([nw])(\d+)_")
REFUSED = re.compile(r"error|fail|must|already exists|cannot|not been read", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation stands: `scene` is None where the script has nothing for its prompts."""

    scene: Scene | None
    turn: int = 0
    by_shell: bool = False

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What is still to be said; at the end the last word again and again."""
        left = self.scene.turns[self.turn :] if self.scene else ()
        return left or (_last(self.scene),)


@dataclass(frozen=True, slots=True)
class Play:
    """What a request is answered, and how that was found; `side`: it could not act and is none of the script's turns."""

    answer: Answer
    place: Place
    side: bool = False
    fault: Fault | None = None


class Counts:
    """How often each fault struck: all that the server remembers from one request to the next."""

    def __init__(self) -> None:
        self._struck: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, faults: Iterable[Fault]) -> Fault | None:
        """The first fault that is not used up, counted."""
        with self._lock:
            for fault in faults:
                if fault.count is None or self._struck[fault.place] < fault.count:
                    self._struck[fault.place] += 1
                    return fault
        return None


def play(ask: Ask, script: Script, counts: Counts) -> Play:
    """Answer one request."""
    form = None if ask.tools else script.text or implied(ask)
    if not (form or tools.writer(ask.tools) or tools.shell(ask.tools)):
        return Play(_measured(_aside(ask, script), ask, script.usage), Place(None), side=True)
    place = whereabouts(ask, script, form)
    turn = place.turns[0]
    fault = counts.take((*turn.faults, *(place.scene.faults if place.scene else ()), *script.faults))
    answer = _spoken(form, place, ask) if form else _called(place, ask)
    if fault:
        answer = altered(answer, fault, _id("n", place.turn))
    return Play(_measured(answer, ask, turn.usage or script.usage), place, fault=fault)


def whereabouts(ask: Ask, script: Script, form: Text | None = None) -> Place:
    """Walk the conversation: prompts choose the scene, the model's own answers tell how far it came."""
    place = Place(next((scene for scene in script.scenes if scene.when is None), None))

    def words(turn: Turn) -> str:
        # A turn that calls is known by its call: its words alone may be what is left of a stream that broke.
        return as_text(form, (turn,), ask) if form else "" if turn.write or turn.run else turn.words

    for entry in ask.entries:
        if entry.speaker is Speaker.USER:
            place = _chosen(entry.text, script, place)
        elif entry.speaker is Speaker.MODEL:
            place = _after(entry, place, words)
        elif entry.call and (mark := MARK.search(entry.call)) and mark[1] == "w" and _refused(entry):
            place = replace(place, turn=int(mark[2]), by_shell=True)
    # A client that takes edits takes one answer in a session: all of it, however often it asks.
    return Place(place.scene) if form is Text.SEARCH_REPLACE else place


def _chosen(prompt: str, script: Script, place: Place) -> Place:
    """A prompt that another scene waits for begins that scene."""
    found = next((scene for scene in script.scenes if scene.when and scene.when.search(prompt)), place.scene)
    return place if found is place.scene else Place(found)


def _after(entry: Entry, place: Place, words: Callable[[Turn], str]) -> Place:
    """Where the conversation stands after an answer of the model: its calls say so, else its text is looked for."""
    marks = [mark for call in entry.calls if (mark := MARK.search(call))]
    if marks:
        return Place(place.scene, max(int(mark[2]) + (mark[1] == "w") for mark in marks))
    if entry.calls:  # a client that gives calls ids of its own
        return Place(place.scene, place.turn + 1)
    return Place(place.scene, _recognised(entry.text, place, words))


def _recognised(text: str, place: Place, words: Callable[[Turn], str]) -> int:
    """The turn after the one that `text` tells; a text that is none of ours (an example in a prompt, a cut answer) tells none."""
    turns = place.scene.turns if place.scene else ()
    said = ((at, words(turns[at]).strip()) for at in range(place.turn, len(turns)))
    return next((at + 1 for at, ours in said if ours and ours in text), place.turn)


def _refused(entry: Entry) -> bool:
    return entry.failed or bool(REFUSED.search(entry.text[:200]))


def _spoken(form: Text, place: Place, ask: Ask) -> Answer:
    """The turn as text. Edits come all at once, and again where the client asks again, now showing a file that it had not."""
    if form is Text.BASH:
        return Answer(as_text(form, place.turns, ask))
    text = as_text(form, place.turns, ask)
    again = any(entry.speaker is Speaker.MODEL and text.strip() in entry.text for entry in ask.entries)
    return Answer(_last(place.scene).finish or "" if again else text)


def _called(place: Place, ask: Ask) -> Answer:
    """The turn as text and a call of the client's own tools."""
    turn = place.turns[0]
    if (call := _call(turn, place, ask)) is None:
        return Answer(turn.words)
    return Answer(turn.say, (call,), end=End.CALLED)


def _call(turn: Turn, place: Place, ask: Ask) -> Call | None:
    writer, shell = tools.writer(ask.tools), tools.shell(ask.tools)
    following = _id("n", place.turn + 1)
    if turn.write and writer and not (shell and (place.by_shell or not tools.suits(writer, turn.write))):
        return Call(_id("w" if shell else "n", place.turn + (not shell)), writer, tools.writing(writer, turn.write, ask))
    command = tools.by_shell(turn.write) if turn.write else turn.run
    if turn.finish is not None:
        if finisher := tools.finisher(ask.tools):
            return Call(following, finisher, tools.finishing(finisher, turn.finish))
        command = submitting(turn.finish) if SUBMIT in ask.words else None
    if command is None or shell is None:
        return None
    return Call(following, shell, tools.running(shell, command))


def _aside(ask: Ask, script: Script) -> Answer:
    """A title, a summary, a classifier: short text, or the JSON it wants."""
    forced = next((tool for tool in ask.tools if tool.name == ask.forced), None)
    if forced and forced.form is Form.FUNCTION:
        return Answer(calls=(Call(_id("n", 0), forced, tools.filled(forced.schema, {})),), end=End.CALLED)
    if ask.schema is not None:
        return Answer(json.dumps(tools.sensible({"type": "object", **ask.schema})))
    return Answer(script.side)


def _measured(answer: Answer, ask: Ask, usage: Usage | None) -> Answer:
    """With the tokens the script tells, else about those a real model would count."""
    return replace(answer, usage=usage or Usage(input=ask.size // 4 + 1, output=_size(answer) // 4 + 1))


def _size(answer: Answer) -> int:
    return len(answer.text) + sum(len(str(call.arguments)) for call in answer.calls)


def _last(scene: Scene | None) -> Turn:
    """What is said where the turns have run out: the last one's words, without doing anything again."""
    if scene is None:
        return UNSCRIPTED
    finish = scene.turns[-1].finish if scene.turns else None
    return Turn(finish=finish) if finish else ENDLESS


def _id(mark: str, turn: int) -> str:
    return f"call_{mark}{turn}_{secrets.token_hex(6)}"
