from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.resets import reset_at

NOW = datetime(2026, 11, 20, 11, 0, 30, tzinfo=UTC)  # a Friday
NEW_YORK = ZoneInfo("America/New_York")
SECONDS = st.integers(1_000_000_000, 1_950_000_000)
MOMENTS = SECONDS.map(lambda epoch: datetime.fromtimestamp(epoch, UTC))
ZONES = st.sampled_from((UTC, NEW_YORK, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), timezone(timedelta(hours=-8))))
HOUR = 3600


def read(text: str) -> str | None:
    moment = reset_at(text, NOW.timestamp())
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("You've hit your 5-hour limit · resets 12:39pm (UTC)", "2026-11-20T12:39:00"),
        ("… purchase more credits or try again at 11:36 AM.", "2026-11-20T11:36:00"),
        ("resets 10am", "2026-11-21T10:00:00"),
        ("limit reached ∙ resets 3:00 p.m.", "2026-11-20T15:00:00"),
        ("resets 12am", "2026-11-21T00:00:00"),
        ("resets at 12:00 PM", "2026-11-20T12:00:00"),
        ("try again tomorrow at 3pm (PT)", "2026-11-21T23:00:00"),
        ("available again Monday at 9:00", "2026-11-23T09:00:00"),
        ("resets Fri 9am", "2026-11-27T09:00:00"),
        ("resets Nov 25, 3pm (America/New_York)", "2026-11-25T20:00:00"),
        ("try again at Nov 25th, 2026 3:04 PM.", "2026-11-25T15:04:00"),
        ("resets Jan 2 at 6am (UTC)", "2027-01-02T06:00:00"),
        ("your quota renews on December 1st", "2026-12-01T00:00:00"),
        ("retry-after: Wed, 25 Nov 2026 07:28:00 GMT", "2026-11-25T07:28:00"),
        ("quota will reset after 2026-11-21T00:00:00Z", "2026-11-21T00:00:00"),
        ("resets 2026-11-21 00:00 UTC+2", "2026-11-20T22:00:00"),
        ('"resetsAt": "2026-11-21T00:00:00.000+05:30"', "2026-11-20T18:30:00"),
        ("resets 2026-12-01", "2026-12-01T00:00:00"),
    ],
)
def test_moments_are_read_as_providers_write_them(text: str, moment: str) -> None:
    assert read(text) == moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Suggested retry after 3600s.", HOUR),
        ("Please retry in 34.5s.", 34.5),
        ("try again in 2 hours 5 minutes", 7500),
        ("try again in 3 days, 4 hours and 10 min", 3 * 86400 + 4 * HOUR + 600),
        ("try again in 1h2m3s", 3723),
        ("x-ratelimit-reset-requests: 6m0s", 360),
        ("Please try again in 250ms.", 0.25),
        ("Retrying in 60s (attempt 1/10)", 60),
        ("retry-after: 30", 30),
        ('{"retry-after":"7"}', 7),
        ("retry-after-ms: 1500", 1.5),
        ('"retryDelay":"34s"', 34),
        ('"retry_delay_ms": 2492', 2.492),
        ('"resets_in_seconds": 3600', HOUR),
        ("resets_in_seconds=3600", HOUR),
        (r"{\"resets_in_seconds\": 3600}", HOUR),
    ],
)
def test_lengths_of_time_count_from_now(text: str, seconds: float) -> None:
    assert reset_at(text, NOW.timestamp()) == pytest.approx(NOW.timestamp() + seconds, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["resets_at: 1795174905", '"resetsAt":1795174905000', "Claude AI usage limit reached|1795174905", 'resets_at\\":1795174905,'],
)
def test_an_epoch_is_read_in_seconds_and_in_milliseconds(text: str) -> None:
    assert reset_at(text, NOW.timestamp()) == 1795174905


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Please try again later.",
        "This request would exceed your rate limit.",
        "250000 tokens > 200000 maximum; try again with less",
        "retry 3 of 10",
        "retried 5 times (total retry wait time: 15.08 seconds) Last error: 529 Overloaded",
        "resets on Feb 31",
        "resets at 25:00",
        "resets 13pm",
        "in 5 minutes the build was done",
        "wait for your 5 hour limit to end",
        "resets at 0000-00-00T00:00:00Z",
        "retry-after: soon",
    ],
)
def test_what_says_no_moment_gives_none(text: str) -> None:
    assert reset_at(text, NOW.timestamp()) is None


def test_a_time_without_a_zone_is_of_the_zone_given_and_a_zone_in_the_text_goes_first() -> None:
    noon = datetime(2026, 11, 20, 12, 39, tzinfo=NEW_YORK).timestamp()
    assert reset_at("resets 12:39pm", NOW.timestamp(), NEW_YORK) == noon
    assert reset_at("resets 12:39pm (America/New_York)", NOW.timestamp(), UTC) == noon
    assert reset_at("resets 12:39pm EST", NOW.timestamp(), UTC) == noon
    assert reset_at("resets 12:39pm (No/Such_Place)", NOW.timestamp(), NEW_YORK) == noon


def test_the_minute_that_is_named_is_over_when_it_ends() -> None:
    assert read("resets 11:00am") == "2026-11-20T11:01:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("try again at 10:58 AM.", "2026-11-20T10:58:00"),
        ("resets Friday 10:58am", "2026-11-20T10:58:00"),
        ("resets 10:50:30", "2026-11-21T10:50:30"),
    ],
)
def test_a_time_that_is_just_over_is_not_tomorrows(text: str, moment: str) -> None:
    """On a machine whose clock is two minutes ahead of the provider's, each limit was waited for until the next day."""
    assert read(text) == moment


def test_a_day_without_a_year_that_has_just_gone_by_is_not_next_years() -> None:
    assert read("resets Nov 20, 10:59am") == "2026-11-20T10:59:00"


@given(MOMENTS, st.integers(0, 23), st.integers(0, 59), ZONES, st.booleans())
def test_a_time_of_day_is_the_next_such_moment_or_just_over(
    now: datetime, hour: int, minute: int, zone: ZoneInfo, half: bool
) -> None:
    clock = f"{(hour - 1) % 12 + 1}:{minute:02}{'pm' if hour > 11 else 'am'}" if half else f"{hour:02}:{minute:02}"
    found = reset_at(f"Limit reached. Try again at {clock}.", now.timestamp(), zone)
    assert found is not None
    assert -600 < found - now.timestamp() <= 25 * HOUR  # the day on which clocks go back has 25
    there = datetime.fromtimestamp(found, zone)
    shown = {(there.hour, there.minute), ((there - timedelta(minutes=1)).hour, (there - timedelta(minutes=1)).minute)}
    # An hour that a spring day hasn't got is shown as the one after it.
    assert shown & {(hour, minute), ((hour + 1) % 24, minute)}


@given(MOMENTS, st.integers(0, 400 * 86400))
def test_a_length_of_time_comes_back_whatever_units_it_is_written_in(now: datetime, seconds: int) -> None:
    rest, parts = seconds, []
    for name, size in (("days", 86400), ("hours", HOUR), ("minutes", 60), ("seconds", 1)):
        parts.append(f"{rest // size} {name}")
        rest %= size
    assert reset_at(f"try again in {' '.join(parts)}", now.timestamp()) == now.timestamp() + seconds


@given(MOMENTS, MOMENTS)
def test_an_instant_comes_back_whenever_it_is_read(now: datetime, moment: datetime) -> None:
    for text in (f"{moment.timestamp():.0f}", moment.isoformat(), moment.strftime("%d %b %Y %H:%M:%S GMT")):
        assert reset_at(f"resets_at: {text}", now.timestamp()) == moment.timestamp()


@given(st.text(), st.sampled_from(("resets at ", "retry-after: ", "try again in ", "")), MOMENTS)
def test_no_text_raises(text: str, word: str, now: datetime) -> None:
    found = reset_at(word + text, now.timestamp())
    assert found is None or isinstance(found, float)


@given(
    st.lists(
        st.sampled_from(
            [
                "resets",
                "retry",
                "12",
                ":",
                "/",
                "-",
                "am",
                "pm",
                "h",
                "m",
                "s",
                "T",
                "Z",
                "utc",
                "+2",
                "nov",
                "fri",
                "2026",
                "99",
                "1795174905",
                "(",
                ")",
                ".",
                ",",
                "",
            ]
        ),
        max_size=30,
    )
)
def test_no_jumble_of_parts_raises(parts: list[str]) -> None:
    found = reset_at("resets " + " ".join(parts), NOW.timestamp())
    assert found is None or isinstance(found, float)


def test_a_long_text_is_read_in_a_moment() -> None:
    assert reset_at("retry 1" * 200_000, NOW.timestamp()) is None
