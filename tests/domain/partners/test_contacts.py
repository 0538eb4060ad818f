"""Normalised phone numbers, formatted rupiah, and masked personal data."""

from decimal import Decimal

import psycopg
import pytest

from tests.support.calls import refused
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
        ("\u202a+65 6123 4567\u202c", "+6561234567"), ("\u00a0+65 6123\u00a04567", "+6561234567"),
        ("(+65) 6123 4567", "+6561234567"), ("+1 (415) 555-2671", "+14155552671"),
        ("+44 (0)20 7946 0958", "+442079460958"), ("(0812 3456 7890)", "+6281234567890"),
        ("0812\u20113456\u20137890\n", "+6281234567890"), ("\ufeff0812\u200b34567890", "+6281234567890"),
        ("(021) 555-12345", "+622155512345"), ("0411 555123", "+62411555123"),
        ("0967-5551234", "+629675551234"),
        ("0812 3456 789", "+628123456789"), ("0812 345 678", "+62812345678"),
        ("0812 3456 78901", "+62812345678901"),
        ("", None), ("   ", None), ("-", None), ("\u202a\u202c", None), (None, None),
    ],
)  # fmt: skip
def test_phone_number_is_normalised_to_e164(db: Connection, written: str | None, number: str | None) -> None:
    assert value(db, "select app.normalise_phone(%s)", written) == number
    assert value(db, "select app.normalise_phone(%s)", number) == number, "a normalised number stays as it is"


@pytest.mark.regression("hyper#86", "glific#4815")
@pytest.mark.parametrize(
    "written",
    [
        "+", "tidak ada", "6,28123E+12", "6.28123E+12", "81234567890.0", "81234567890.00",
        "0812345678/0813999",
        "021-5551234/5", "021-5551234-5", "021 5551234 ext 12", "021 5551234 12", "0812-3456-7890 an. Ibu 2",
        "0812 3456 7890 (2)", "08l2 3456 789O", "0812345678, 0813999", "0812345678; 0813999",
        "0812345678\n0813999", "62+81234567890", "++6281234567890", "0812+3456+7890", "+0812345678", "+62",
        "+62 812 3456", "0812 3456", "+62 812 3456 7890 123", "+62 1500 888", "021 1234", "021 123456789",
        "6123 4567", "65 6123 4567", "001 65 6123 4567", "00 812 3456 7890", "+1 415 555", "+1 015 555 2671",
        "+65 6123", "+6561234567890123", "0812-3456-7890)", "(0812-3456-7890", "((0812) 3456-7890", "()",
        "\uff10\uff18\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
        "\u0660\u0668\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
        "081234567\u00b2", "0812_3456_7890", "0812*3456*7890", "#0812 3456 7890", "'081234567890",
        "tel:+6281234567890",
        "0812 3456 7890 " * 5, "8" * 10_000, "\U0001f487", "' or 1=1 --", "\u202e0987654321x",
    ],
)  # fmt: skip
def test_what_is_not_one_number_is_refused(db: Connection, written: str) -> None:
    assert value(db, "select app.normalise_phone(%s)", written) is None
    with refused(db, "INVALID_PHONE") as refusal:
        db.execute("select app.phone_number('phone', %s)", [written])
    assert refusal.details == "phone"


@pytest.mark.parametrize("table", ["partners", "agents", "sub_distributors"])
def test_invalid_number_enters_no_table(db: Connection, context: Context, table: str) -> None:
    column = "whatsapp_number" if table == "sub_distributors" else "phone"
    with refused(db, "INVALID_PHONE") as refusal:
        db.execute(f"update app.{table} set {column} = '08l2 3456 789O'".encode())
    assert refusal.details == column


@pytest.mark.parametrize(
    ("sender", "number"),
    [
        ("6281234567890", "+6281234567890"), ("819012345678", "+819012345678"), ("6561234567", "+6561234567"),
        ("0812 3456 7890", "+6281234567890"), ("ID.1234567890", None), ("628", None), ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_sender_is_known_by_a_valid_number_only(
    db: Connection, sender: str | None, number: str | None
) -> None:
    assert value(db, "select app.sender_number(%s)", sender) == number


def test_phone_number_is_normalised_in_every_table(db: Connection, context: Context) -> None:
    region = context.regions["papua"]
    partner = make_partner(db, region, phone="0899-1111-222")
    agent = make_agent(db, region, phone="0899-2222-333")
    subdist = make_subdist(db, region, whatsapp_number="0899-3333-444")
    for table, column, who, number in (
        ("partners", "phone", partner, "+628991111222"),
        ("agents", "phone", agent, "+628992222333"),
        ("sub_distributors", "whatsapp_number", subdist, "+628993333444"),
    ):
        found = f"select {column} from app.{table} where id = %s"
        assert value(db, found, who.sub) == number
        db.execute(f"update app.{table} set {column} = '62 899 4444 555' where id = %s".encode(), [who.sub])
        assert value(db, found, who.sub) == "+628994444555"


def test_same_number_in_another_notation_is_a_duplicate(db: Connection, context: Context) -> None:
    make_partner(db, None, phone="0899-1111-222")
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        make_partner(db, None, phone="+62 899 1111 222")


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
