"""Passwords as keyboards send them, and hashes that another system wrote."""

import pytest

from tests.support.context import Connection, value

NFC, NFD = "Kaf\u00e9-M\u00e9lati-2026", "Kafe\u0301-Me\u0301lati-2026"
MIXED = "Kaf\u00e9-Me\u0301lati-2026"

# The bcrypt hashes of NFC and of NFD, as libxcrypt writes them.
OF_NFC_2Y = "$2y$04$abcdefghijklmnopqrstuuijPvwOWf/g.0gW6Mrlx6FLv97EWOhO2"
OF_NFC_2B = "$2b$05$abcdefghijklmnopqrstuuR4oZg0GBwTZmFEkQkJbMM4mHs6tg8e6"


def matches(db: Connection, password: str, password_hash: str) -> bool:
    found: bool = value(db, "select auth.password_matches(%s, %s)", password, password_hash)
    return found


@pytest.mark.regression("synapse#3306")
@pytest.mark.parametrize("written", [NFC, NFD, MIXED])
@pytest.mark.parametrize("typed", [NFC, NFD, MIXED])
def test_composed_and_decomposed_accents_are_the_same_password(
    db: Connection, written: str, typed: str
) -> None:
    password_hash = value(db, "select auth.hash_password(%s)", written)
    assert matches(db, typed, password_hash)
    assert not matches(db, typed + "x", password_hash)
    assert not matches(db, "Kafe-Melati-2026", password_hash)


@pytest.mark.parametrize("password_hash", [OF_NFC_2Y, OF_NFC_2B, OF_NFC_2Y.replace("$2y", "$2a")])
@pytest.mark.parametrize("typed", [NFC, NFD])
def test_hash_of_another_system_is_accepted(db: Connection, typed: str, password_hash: str) -> None:
    assert matches(db, typed, password_hash)
    assert not matches(db, typed.replace("2026", "2027"), password_hash)


def test_hash_of_a_password_that_was_not_normalised_is_accepted_as_typed(db: Connection) -> None:
    password_hash = value(db, "select extensions.crypt(%s, extensions.gen_salt('bf', 4))", NFD)
    assert matches(db, NFD, password_hash)
    assert not matches(db, NFC + "x", password_hash)


@pytest.mark.parametrize(
    "password_hash",
    ["$2c$04$abcdefghijklmnopqrstuuijPvwOWf/g.0gW6Mrlx6FLv97EWOhO2", OF_NFC_2Y[:-1], OF_NFC_2Y + "a",
     "$1$abcdefgh$x", "x", "", None],
)  # fmt: skip
def test_hash_that_is_not_bcrypt_matches_nothing(db: Connection, password_hash: str | None) -> None:
    assert value(db, "select auth.password_matches(%s, %s)", NFC, password_hash) is False


def test_length_of_a_password_counts_composed_characters(db: Connection) -> None:
    assert value(db, "select auth.hash_password(%s) is not null", "e\u0301" * 36), "72 bytes when composed"


@pytest.mark.parametrize("typed", ["x" * 100_000, "e\u0301" * 100_000, "\U0001f487" * 10_000])
def test_long_text_is_compared_without_an_error(db: Connection, typed: str) -> None:
    assert not matches(db, typed, OF_NFC_2B)
