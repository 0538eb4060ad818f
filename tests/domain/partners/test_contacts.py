"""Normalised phone numbers, formatted rupiah, and masked personal data."""

from decimal import Decimal

import psycopg
import pytest

from tests.support.context import Connection, Context, value
from tests.support.factories import make_agent, make_partner, make_subdist


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("081234567890", "+6281234567890"), ("0812-3456-7890", "+6281234567890"),
        ("0812 3456 7890", "+6281234567890"), ("(0812) 3456.7890", "+6281234567890"),
        ("6281234567890", "+6281234567890"), ("+6281234567890", "+6281234567890"),
        ("+62 812-3456-7890", "+6281234567890"), ("  +62 812 3456 7890 ", "+6281234567890"),
        ("+62 (0)812 3456 7890", "+6281234567890"), ("62 0812 3456 7890", "+6281234567890"),
        ("0062 0812 3456 7890", "+6281234567890"), ("006281234567890", "+6281234567890"),
        ("81234567890", "+6281234567890"), ("021 555 1234", "+62215551234"),
        ("+65 6123 4567", "+6561234567"), ("0065 6123 4567", "+6561234567"),
        ("", None), ("   ", None), ("-", None), ("+", None), ("tidak ada", None), (None, None),
    ],
)  # fmt: skip
def test_phone_number_is_normalised_to_e164(db: Connection, written: str | None, number: str | None) -> None:
    assert value(db, "select app.normalise_phone(%s)", written) == number
    assert value(db, "select app.normalise_phone(%s)", number) == number, "a normalised number stays as it is"


def test_phone_number_is_normalised_in_every_table(db: Connection, context: Context) -> None:
    region = context.regions["papua"]
    partner = make_partner(db, region, phone="0899-1111")
    agent = make_agent(db, region, phone="0899-2222")
    subdist = make_subdist(db, region, whatsapp_number="0899-3333")
    for table, column, who, number in (
        ("partners", "phone", partner, "+628991111"),
        ("agents", "phone", agent, "+628992222"),
        ("sub_distributors", "whatsapp_number", subdist, "+628993333"),
    ):
        found = f"select {column} from app.{table} where id = %s"
        assert value(db, found, who.sub) == number
        db.execute(f"update app.{table} set {column} = '62 899 4444' where id = %s".encode(), [who.sub])
        assert value(db, found, who.sub) == "+628994444"


def test_same_number_in_another_notation_is_a_duplicate(db: Connection, context: Context) -> None:
    make_partner(db, None, phone="0899-1111")
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        make_partner(db, None, phone="+62 899 1111")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "Rp0"), ("1", "Rp1"), ("999", "Rp999"), ("1000", "Rp1.000"), ("1250000", "Rp1.250.000"),
        ("1250000.00", "Rp1.250.000"), ("1234.50", "Rp1.234,50"), ("0.05", "Rp0,05"), ("999.99", "Rp999,99"),
        ("-1500", "-Rp1.500"), ("-0.50", "-Rp0,50"), ("9999999999999.99", "Rp9.999.999.999.999,99"),
        (None, None),
    ],
)  # fmt: skip
def test_rupiah_are_formatted_in_indonesian_notation(
    db: Connection, amount: str | None, text: str | None
) -> None:
    assert value(db, "select app.format_rupiah(%s)", amount and Decimal(amount)) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sari@example.com", "s***@example.com"), ("+6281234567890", "+6**********90"), ("Jl. X", "Jl* X"),
        ("abcd", "***"), ("a", "***"), ("", "***"), ("203.0.113.7", "20*******.7"),
    ],
)  # fmt: skip
def test_mask_hides_all_but_the_ends_of_personal_data(db: Connection, text: str, masked: str) -> None:
    assert value(db, "select app.mask(%s)", text) == masked
