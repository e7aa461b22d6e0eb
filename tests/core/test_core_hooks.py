"""Who may knock at the door of the webhooks."""

from __future__ import annotations

import pytest

from orchestrator.core.hooks import GITHUB, GITLAB, REMEMBERED, Answer, Door

# The example of GitHub's own documentation.
SECRET, BODY = "It's a Secret to Everybody", b"Hello, World!"
SIGNED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
DOOR = {GITHUB: SECRET, GITLAB: "token"}


def github(body: bytes, signature: str, secrets: dict[str, str] = DOOR) -> Answer:
    return Door(secrets).knock(GITHUB, {"x-hub-signature-256": signature}, body)


def test_the_documented_signature_is_taken() -> None:
    assert github(BODY, SIGNED) is Answer.TAKEN


@pytest.mark.parametrize("signature", ["", SIGNED.upper(), SIGNED[:-1], SIGNED.removeprefix("sha256="), "sha1=0", "sha256=é"])
def test_any_other_signature_is_refused(signature: str) -> None:
    assert github(BODY, signature) is Answer.REFUSED


def test_another_body_or_no_secret_is_refused() -> None:
    assert github(BODY + b"\n", SIGNED) is Answer.REFUSED
    assert github(BODY, SIGNED, {}) is Answer.REFUSED
    assert github(BODY, SIGNED, {GITHUB: ""}) is Answer.REFUSED


@pytest.mark.parametrize(("token", "answer"), [("token", Answer.TAKEN), ("Token", Answer.REFUSED), ("", Answer.REFUSED)])
def test_gitlab_says_its_token(token: str, answer: Answer) -> None:
    assert Door(DOOR).knock(GITLAB, {"x-gitlab-token": token}, b"{}") is answer


def test_a_replay_is_answered_and_ignored() -> None:
    door, headers = Door(DOOR), {"x-gitlab-token": "token"}
    assert [door.knock(GITLAB, headers, b"1") for _ in range(3)] == [Answer.TAKEN, Answer.AGAIN, Answer.AGAIN]
    for number in range(REMEMBERED):
        door.knock(GITLAB, headers, b"%d more" % number)
    assert door.knock(GITLAB, headers, b"1") is Answer.TAKEN  # bounded


def test_other_paths_are_unknown() -> None:
    assert Door(DOOR).knock("/", {"x-gitlab-token": "token"}, b"") is Answer.UNKNOWN
