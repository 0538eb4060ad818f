"""Reads the cells of dropped files: identifiers, numbers, dates, and what spreadsheets make of them."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from functools import cache

from babel.dates import get_month_names

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets execute a cell with such a beginning; partners choose their own names."""

_MAX_NUMBER_LENGTH = 40
_MAX_DECIMALS = 2
"""More decimals than rupiah or units have are rather a thousands separator of the other convention."""

_SCIENTIFIC = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?e[+-]?[0-9]{2,}", re.IGNORECASE)
"""As Excel shows a long number: the digits that it does not show are lost."""
_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|#+)", re.IGNORECASE)
_TEXT_FORMULA = re.compile(r'="(?P<text>[^"]*)"')
"""="00123", by which exports keep leading zeros from a spreadsheet."""

_DATE = re.compile(
    r"(?:(?P<y>[0-9]{4})-(?P<mo>[0-9]{1,2})-(?P<d>[0-9]{1,2})"
    r"|(?P<day>[0-9]{1,2})(?P<separator>[/.-])(?P<month>[0-9]{1,2})(?P=separator)(?P<year>[0-9]{4}|[0-9]{2})"
    r"|(?P<named_day>[0-9]{1,2})[\s-]+(?P<name>[a-z]+)\.?[\s-]+(?P<named_year>[0-9]{4}|[0-9]{2}))"
    r"(?:(?:t|,?\s+)(?:pukul\s+)?(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2})(?:[:.](?P<second>[0-9]{2}))?)?"
    r"(?:\s*wib)?",
    re.IGNORECASE,
)
_MORE_MONTHS = {"agst": 8, "agus": 8, "ags": 8, "pebruari": 2, "nopember": 11, "nop": 11}
"""Spellings of Indonesian bookkeepers that are not in CLDR."""

_YES = {"": True, "1": True, "ya": True, "y": True, "yes": True, "true": True, "benar": True, "aktif": True}
_NO = {"0": False, "tidak": False, "t": False, "no": False, "n": False, "false": False, "salah": False} | {
    "nonaktif": False,
    "tidak aktif": False,
}


class Convention(Enum):
    """How a file writes numbers."""

    INDONESIAN = "id"
    """1.250.000,50"""
    ENGLISH = "en"
    """1,250,000.50"""


_NUMBERS = {
    Convention.INDONESIAN: re.compile(r"(?:[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[0-9]+)(?:,[0-9]+)?"),
    Convention.ENGLISH: re.compile(r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"),
}
_WRITTEN = re.compile(
    r"(?P<open>\()?(?P<before>-)?(?:(?:rp|idr)\.?)?(?P<within>-)?"
    r"(?P<digits>[0-9.,]*[0-9])(?:[.,]-|(?P<after>-))?(?P<close>\))?",
    re.IGNORECASE,
)
"""A number with what bookkeepers write around it: Rp 1.250,- or (5) for -5."""


def clean(text: str) -> str:
    """A cell without invisible characters, outer or repeated spaces, and the marks of spreadsheets."""
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line for line in map(_clean_line, text.splitlines()) if line)
    if formula := _TEXT_FORMULA.fullmatch(text):
        return formula["text"].strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _clean_line(text: str) -> str:
    visible = (mark for mark in text if unicodedata.category(mark) != "Cf")
    return " ".join("".join(" " if unicodedata.category(mark) == "Cc" else mark for mark in visible).split())


def refuse_spreadsheet_error(text: str) -> None:
    """Raise ValueError if a cell is an error of a spreadsheet, such as #N/A."""
    if _ERROR.fullmatch(text):
        raise ValueError(f"the cell is {text}: correct it in the spreadsheet")


def parse_identifier(name: str, text: str) -> str:
    """An SKU, invoice number or reference.

    Raises ValueError if it is empty, or if a spreadsheet turned it into an inexact number.
    """
    if not text:
        raise ValueError(f"{name} is empty")
    if "\n" in text:
        raise ValueError(f"{name} has a line break")
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(f"{name} is {text}, a rounded number: format the column as text and export again")
    return text


def detect_convention(texts: Iterable[str]) -> Convention | None:
    """The convention of a file's numbers, by the cells that can be read in one convention only.

    None: there is no such cell, or there are some of both.
    """
    found: set[Convention] = set()
    for text in texts:
        readings = _readings(text)
        if len(readings) == 1:
            found.update(readings)
            if len(found) > 1:
                return None
    return found.pop() if found else None


def parse_number(text: str, convention: Convention | None) -> Decimal:
    """Parse a number such as 1250000, Rp1.250.000,50 or (5), which is -5.

    Raises ValueError if the text is not a number in the given convention, or, without one, if it can
    mean two different numbers, such as 1.250.
    """
    readings = _readings(text)
    if not readings:
        if _SCIENTIFIC.fullmatch(text):
            raise ValueError(f"{text} is rounded: format the column as a number and export again")
        raise ValueError(f"{text!r} is not a number")
    if convention is None:
        if len(set(readings.values())) > 1:
            whole, part = (f"{value:f}" for value in sorted(readings.values(), key=abs, reverse=True))
            raise ValueError(f"{text!r} can mean {whole} or {part}: write it without separators")
        return next(iter(readings.values()))
    if convention not in readings:
        example = "1.250.000,50" if convention is Convention.INDONESIAN else "1,250,000.50"
        raise ValueError(f"{text!r} does not fit the other numbers of the file, such as {example}")
    value = readings[convention]
    if len(set(readings.values())) > 1 and -int(value.as_tuple().exponent) > _MAX_DECIMALS:
        raise ValueError(f"{text!r} would have {-int(value.as_tuple().exponent)} decimals in this file")
    return value


def parse_flag(name: str, text: str) -> bool:
    """A yes or no; yes if the cell is empty. Raises ValueError."""
    try:
        return (_YES | _NO)[text.lower()]
    except KeyError:
        raise ValueError(f"{name} is {text!r}: write ya or tidak") from None


def parse_time(name: str, text: str, zone: timezone) -> datetime:
    """The time that a cell states, day before month; now if it is empty. Raises ValueError."""
    if not text:
        return datetime.now(zone)
    match = _DATE.fullmatch(text)
    month = match and (match["mo"] or match["month"] or _months().get((match["name"] or "").lower()))
    if match and month:
        year = int(match["y"] or match["year"] or match["named_year"])
        day = match["d"] or match["day"] or match["named_day"]
        hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
        try:
            return datetime(
                year + 2000 if year < 100 else year, int(month), int(day), hour, minute, second, tzinfo=zone
            )
        except ValueError:
            pass
    raise ValueError(f"{name} is {text!r}: write 31/01/2026 or 31 Januari 2026, optionally followed by 15:04")


def _readings(text: str) -> dict[Convention, Decimal]:
    """What a number means in each convention in which it is one."""
    if len(text) > _MAX_NUMBER_LENGTH:
        return {}
    written = _WRITTEN.fullmatch(text.replace("\N{MINUS SIGN}", "-").replace(" ", ""))
    if not written or bool(written["open"]) != bool(written["close"]):
        return {}
    signs = [sign for sign in ("open", "before", "within", "after") if written[sign]]
    if len(signs) > 1:
        return {}
    digits = written["digits"]
    readings: dict[Convention, Decimal] = {}
    for convention in Convention:
        if _NUMBERS[convention].fullmatch(digits):
            thousands, decimal = (".", ",") if convention is Convention.INDONESIAN else (",", ".")
            value = Decimal(digits.replace(thousands, "").replace(decimal, "."))
            readings[convention] = -value if signs else value
    return readings


@cache
def _months() -> dict[str, int]:
    """Names of months, in Indonesian and English, whole and abbreviated."""
    return _MORE_MONTHS | {
        name.lower().rstrip("."): number
        for locale in ("en", "id")
        for width in ("abbreviated", "wide")
        for number, name in get_month_names(width, locale=locale).items()
    }
