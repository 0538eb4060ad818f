"""Cells of dropped files: numbers in two conventions, identifiers that spreadsheets spoil, dates."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from adapters.erp.csv_cells import (
    Convention,
    clean,
    detect_convention,
    parse_flag,
    parse_identifier,
    parse_number,
    parse_time,
    refuse_spreadsheet_error,
)

ID, EN = Convention.INDONESIAN, Convention.ENGLISH


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1250000", "1250000"),
        ("1250000.50", "1250000.50"),
        ("1.250.000,50", "1250000.50"),
        ("1,250,000.50", "1250000.50"),
        ("1250000,5", "1250000.5"),
        ("Rp1.250.000", "1250000"),
        ("Rp. 1.250.000,-", "1250000"),
        ("IDR 1,250,000.00", "1250000"),
        ("Rp 45.000,00", "45000"),
        ("1 250 000", "1250000"),
        ("-3", "-3"),
        ("3-", "-3"),
        ("(3)", "-3"),
        ("\N{MINUS SIGN}3", "-3"),
        ("-Rp1.250.000,00", "-1250000"),
        ("0.500", "0.5"),
        ("0", "0"),
    ],
)
def test_number_with_one_reading_is_parsed_without_a_convention(text: str, value: str) -> None:
    assert parse_number(text, None) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "dua", "1.250,50.1", "NaN", "Infinity", "--1", "1.2.3", "12 x", "1,2,3", "0x10", "½", "9" * 41, "-"],
)
def test_text_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text, None)


@pytest.mark.parametrize("text", ["2,02611E+16", "1E+12", "1.2e+06"])
def test_number_that_a_spreadsheet_rounded_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is rounded"):
        parse_number(text, None)


@pytest.mark.regression("frappe/erpnext#7578")
@pytest.mark.parametrize(
    ("text", "indonesian", "english"),
    [
        ("960,000", None, "960000"),
        ("1.250", "1250", None),
        ("45.000", "45000", None),
        ("1,200", None, "1200"),
        ("-125,000", None, "-125000"),
        ("Rp 12.500", "12500", None),
    ],
)
def test_ambiguous_number_follows_the_convention_of_its_file(
    text: str, indonesian: str | None, english: str | None
) -> None:
    with pytest.raises(ValueError, match="can mean"):
        parse_number(text, None)
    for convention, value in ((ID, indonesian), (EN, english)):
        if value is None:
            with pytest.raises(ValueError, match="would have 3 decimals"):
                parse_number(text, convention)
        else:
            assert parse_number(text, convention) == Decimal(value)


@pytest.mark.parametrize(("text", "convention"), [("1.250.000", EN), ("1,250.50", ID), ("12,5", EN)])
def test_number_of_the_other_convention_is_refused(text: str, convention: Convention) -> None:
    with pytest.raises(ValueError, match="does not fit the other numbers"):
        parse_number(text, convention)


@pytest.mark.parametrize(
    ("texts", "convention"),
    [
        (["45.000", "1.250.000"], ID),
        (["45.000", "200.000,00"], ID),
        (["45.000", "12,5"], ID),
        (["960,000", "1,250,000"], EN),
        (["960,000", "850.50"], EN),
        (["1.250", "850"], None),
        (["1.250.000", "1,250,000"], None),
        (["no number", ""], None),
        ([], None),
    ],
)
def test_convention_is_that_of_the_cells_with_one_reading(
    texts: list[str], convention: Convention | None
) -> None:
    assert detect_convention(texts) is convention


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  BAR-\N{ZERO WIDTH SPACE}A\N{NO-BREAK SPACE} ", "BAR-A"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}BAR-A", "BAR-A"),
        ("BAR\N{SOFT HYPHEN}-A\N{LEFT-TO-RIGHT MARK}", "BAR-A"),
        ("BAR\N{NO-BREAK SPACE}A", "BAR A"),
        ("BAR\tA", "BAR A"),
        ('="00123"', "00123"),
        ("'=SUM(A1)", "=SUM(A1)"),
        ("'-3", "-3"),
        ("'Ayu'", "'Ayu'"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Café"),
        ("baris satu \r\n  baris dua\n", "baris satu\nbaris dua"),
    ],
)
def test_invisible_characters_and_marks_of_spreadsheets_are_removed(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.regression("dilshod/xlsx2csv#190")
@pytest.mark.parametrize("text", ["2,02611E+16", "8.99E+12", "1E+15", "8,99e+12", "1E-05", "9E12"])
def test_identifier_in_scientific_notation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a rounded number: format the column as text"):
        parse_identifier("reference_number", text)


@pytest.mark.parametrize("text", ["BAR-A", "00123", "20261100000000001", "E12", "12E", "1E3", "5E-SAMPO"])
def test_identifier_is_kept_as_written(text: str) -> None:
    assert parse_identifier("sku", text) == text


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "########"])
def test_error_of_a_spreadsheet_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="correct it in the spreadsheet"):
        refuse_spreadsheet_error(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", "2026-01-31T00:00"),
        ("31/01/2026", "2026-01-31T00:00"),
        ("31-1-2026", "2026-01-31T00:00"),
        ("31.1.26", "2026-01-31T00:00"),
        ("5/2/2026", "2026-02-05T00:00"),
        ("31 Januari 2026", "2026-01-31T00:00"),
        ("31 Jan 26", "2026-01-31T00:00"),
        ("31-Agu-2026", "2026-08-31T00:00"),
        ("31 Agst 2026", "2026-08-31T00:00"),
        ("1 Mei 2026", "2026-05-01T00:00"),
        ("1 October 2026", "2026-10-01T00:00"),
        ("1 Nopember 2026 pukul 15.04 WIB", "2026-11-01T15:04"),
        ("31/01/2026 15:04", "2026-01-31T15:04"),
        ("31/01/2026 15.04.05", "2026-01-31T15:04:05"),
        ("2026-01-31T15:04:05", "2026-01-31T15:04:05"),
    ],
)
def test_date_is_read_as_indonesians_write_it(text: str, time: str) -> None:
    assert parse_time("paid_at", text, UTC) == datetime.fromisoformat(time).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["31/02/2026", "12/31/2026", "46353", "31/01-2026", "kemarin", "31 Foo 2026", "1/1/2026 25:00"]
)
def test_date_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"paid_at is .*: write 31/01/2026"):
        parse_time("paid_at", text, UTC)


@pytest.mark.parametrize(("text", "value"), [("", True), ("Ya", True), ("TIDAK", False), ("nonaktif", False)])
def test_flag_is_read_in_indonesian(text: str, *, value: bool) -> None:
    assert parse_flag("is_active", text) is value


def test_unknown_flag_is_refused() -> None:
    with pytest.raises(ValueError, match="is_active is 'mungkin': write ya or tidak"):
        parse_flag("is_active", "mungkin")
