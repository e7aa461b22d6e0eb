"""When a provider's limit is over, read from what its client says: a time of day, a date, a length of time, an epoch.

Pure: `now` and the zone of times that name none are arguments. Only what follows a word like "resets" or "try again" is read,
so that a count of tokens is never taken for a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

WINDOW = 90  # characters after the word within which the time stands
LONGEST = 20_000  # of a text; a model's whole answer is no message about a limit
DAY = timedelta(days=1)
HALF_YEAR = timedelta(days=183)
JUST_OVER = 600.0  # seconds; nobody names a moment that is over, so a clock may be that much ahead of the provider's
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Zones that people write by letters; of those that mean several, the one that providers of models live in.
OFFSETS = {
    "utc": 0,
    "gmt": 0,
    "z": 0,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
    "bst": 1,
    "cet": 1,
    "cest": 2,
    "jst": 9,
}
PLACES = {"pt": "America/Los_Angeles", "pacific": "America/Los_Angeles", "et": "America/New_York", "eastern": "America/New_York"}

UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])"
PART = rf"(\d+(?:\.\d+)?)\s*({UNIT})"
ZONE = r"(?:\s*\(?(?P<zone>[a-z]+(?:/[a-z_]+){1,2}|(?:utc|gmt)?[+-]\d\d?(?::?\d\d)?|[a-z]{1,8}\b)\)?)?"
HOUR = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?)?(?:\s*(?P<half>[ap])\.?m\b\.?)?"
TIME = rf"(?=\d{{1,2}}(?::\d\d|\s*[ap]\.?m\b)){HOUR}{ZONE}"
AT = rf"(?:[\s,]+(?:at\s+)?{TIME})?"
MONTH = rf"(?P<month>{'|'.join(MONTHS)})[a-z]*\.?"
NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b"
YEAR = r"(?:,?\s+(?P<year>\d{4})\b)?"

WORD = re.compile(r"reset|retry(?! wait)|again|available|\bwait(?! time)|until|renew|limit reached(?=\|)", re.I)
LENGTH = re.compile(rf"(?:{PART}(?:,?\s*(?:and\s+)?))+(?!\s*(?:limit|window|session|quota|period))", re.I)
PARTS = re.compile(PART, re.I)
ISO = re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)(?:[T ]{TIME})?", re.I)
DATES = (re.compile(rf"\b{MONTH}\s+{NTH}{YEAR}{AT}", re.I), re.compile(rf"\b{NTH}\s+{MONTH}{YEAR}{AT}", re.I))
WEEKDAY = re.compile(rf"\b(?P<weekday>{'|'.join(WEEKDAYS)})[a-z]*[\s,]+(?:at\s+)?{TIME}", re.I)
CLOCK = re.compile(rf"(?P<tomorrow>tomorrow[\s,]+(?:at\s+)?)?(?<![\dT:.]){TIME}", re.I)
EPOCH = re.compile(r"(?<![\d.])(?P<epoch>1\d{9}(?:\d{3})?)(?![\d]|\.\d{4})")
BARE = re.compile(
    r"(?:reset|retry)(?P<key>[\w-]*(?:\s+after)?)\\?[\"']?\s*[:=]?\s*\\?[\"']?"
    rf"(?P<number>\d+(?:\.\d+)?)(?![\w:/-]|\.\d|\s*{UNIT}|\s*[ap]\.?m\b)",
    re.I,
)


def reset_at(text: str, now: float, zone: tzinfo = UTC) -> float | None:
    """The epoch second at which the limit that `text` tells of is over; None where it doesn't say.

    A time of day is the next one after `now`, but for one that is just over: the clocks disagree, and it isn't tomorrow's. A date
    with its year may lie in the past, too: then the limit is over.
    """
    for word in WORD.finditer(text[:LONGEST]):
        window = text[word.start() : word.start() + WINDOW]
        for _, read, match in sorted(_found(window), key=lambda found: found[0]):
            try:
                moment = read(match, now, zone)
            except (ValueError, OverflowError, OSError):  # the 31st of February, the year 0000, an hour 25
                continue
            if moment is not None:
                return moment
    return None


Reader = Callable[["re.Match[str]", float, tzinfo], float | None]


def _found(window: str) -> Iterator[tuple[int, Reader, re.Match[str]]]:
    """Each form's first match. The one that begins first is read; of two, the earlier in `FORMS`."""
    for pattern, read in FORMS:
        if match := pattern.search(window):
            yield match.start(), read, match


def _length(match: re.Match[str], now: float, _here: tzinfo) -> float:
    return now + sum(float(number) * UNITS[_unit(unit.lower())] for number, unit in PARTS.findall(match[0]))


def _unit(unit: str) -> str:
    return "ms" if unit.startswith(("ms", "milli")) else unit[0]


def _epoch(match: re.Match[str], _now: float, _here: tzinfo) -> float:
    return float(match["epoch"]) / (1000 if len(match["epoch"]) > 10 else 1)


def _bare(match: re.Match[str], now: float, _here: tzinfo) -> float | None:
    """A number whose key says what it is: `retry-after: 30`, `"resets_in_seconds": 3600`, `retry_delay_ms=250`."""
    key, number = match["key"].lower().strip(), float(match["number"])
    if key.endswith(("_ms", "-ms", "delayms")):
        return now + number / 1000
    return now + number if re.search(r"after|[_-]in|sec|delay", key) and number < 1e9 else None


def _date(match: re.Match[str], now: float, zone: tzinfo) -> float:
    """A day without a year is the nearest such day; without a time, its beginning."""
    zone = _named(match["zone"], zone)
    here = datetime.fromtimestamp(now, zone)
    month = match["month"].lower()
    number = int(month) if month.isdigit() else MONTHS.index(month) + 1
    moment = datetime(int(match["year"] or here.year), number, int(match["day"]), *_clock(match), tzinfo=zone)
    if match["year"] is None and here - moment > HALF_YEAR:
        moment = moment.replace(year=here.year + 1)
    return moment.timestamp()


def _weekday(match: re.Match[str], now: float, zone: tzinfo) -> float:
    zone = _named(match["zone"], zone)
    here = datetime.fromtimestamp(now, zone)
    ahead = (WEEKDAYS.index(match["weekday"].lower()) - here.weekday()) % 7
    return _next(here, here + ahead * DAY, match, 7 * DAY)


def _time(match: re.Match[str], now: float, zone: tzinfo) -> float:
    here = datetime.fromtimestamp(now, _named(match["zone"], zone))
    return _next(here, here + (DAY if match["tomorrow"] else 0 * DAY), match, DAY)


def _next(here: datetime, day: datetime, match: re.Match[str], step: timedelta) -> float:
    """That time of `day`, or of the day a `step` later where it is over. A minute is over when it ends, not when it begins."""
    hour, minute, second = _clock(match)
    moment = day.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if match["second"] is None and here.replace(second=0, microsecond=0) == moment:
        return (moment + timedelta(minutes=1)).timestamp()
    # Not compared as they stand: two moments of one zone are compared by their clocks, which go back in autumn.
    return (moment if here.timestamp() - moment.timestamp() < JUST_OVER else moment + step).timestamp()


def _clock(match: re.Match[str]) -> tuple[int, int, int]:
    if match["hour"] is None:
        return 0, 0, 0
    hour = int(match["hour"])
    if half := (match["half"] or "").lower():
        if not 1 <= hour <= 12:
            raise ValueError(match[0])
        hour = hour % 12 + (12 if half == "p" else 0)
    return hour, int(match["minute"] or 0), int(match["second"] or 0)


def _named(name: str | None, default: tzinfo) -> tzinfo:
    """The zone that a text names; `default` where it names none, or a word that is no zone."""
    word = (name or "").lower()
    if word in OFFSETS:
        return timezone(timedelta(hours=OFFSETS[word]))
    if offset := re.fullmatch(r"(?:utc|gmt)?([+-])(\d\d?):?(\d\d)?", word):
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(length if offset[1] == "+" else -length)
    if word in PLACES or "/" in word:
        return _place(PLACES.get(word) or str(name)) or default
    return default


def _place(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


FORMS: tuple[tuple[re.Pattern[str], Reader], ...] = (
    (BARE, _bare),
    (EPOCH, _epoch),
    (ISO, _date),
    *((pattern, _date) for pattern in DATES),
    (LENGTH, _length),
    (WEEKDAY, _weekday),
    (CLOCK, _time),
)
