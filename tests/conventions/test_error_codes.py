"""Error codes: each has its status, and no function raises a code outside the catalogue."""

import json
import re

import psycopg
import pytest

from hub import paths
from tests.support.calls import refused
from tests.support.context import Connection, value

SOURCES = [*(paths.root() / "sql").rglob("*.sql")]


def test_every_code_is_raised_with_its_status(db: Connection) -> None:
    codes = [code for (code,) in db.execute("select code from app.error_catalog()")]
    assert len(codes) == len(set(codes))
    for code in codes:
        with refused(db, code) as why:
            db.execute("select app.fail(%s, 'because')", [code])
        assert why.details == "because"


def test_every_status_is_a_client_error(db: Connection) -> None:
    statuses = {status for (status,) in db.execute("select http_status from app.error_catalog()")}
    assert statuses == {400, 401, 402, 403, 404, 409, 422, 429}


def hint_of(db: Connection, call: str) -> str | None:
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(f"select {call}".encode())
    hint: str | None = json.loads(caught.value.diag.message_primary or "")["hint"]
    return hint


def test_every_error_states_the_problem_and_the_next_step(db: Connection) -> None:
    rows = db.execute("select code, message, hint, meaning from app.error_catalog()").fetchall()
    assert [code for code, *texts in rows if not all(texts)] == []
    assert [code for code, *texts in rows if any(text.endswith(".") for text in texts)] == []


def test_an_error_carries_the_hint_of_the_catalogue(db: Connection) -> None:
    assert hint_of(db, "app.fail('NOT_FOUND', 'order')") == "Check the id"


def test_the_hint_of_a_function_replaces_the_hint_of_the_catalogue(db: Connection) -> None:
    assert hint_of(db, "app.fail('NOT_FOUND', 'order', 'Look again')") == "Look again"


def test_raised_codes_and_catalogue_are_the_same(db: Connection) -> None:
    source = "\n".join(path.read_text() for path in SOURCES)
    raised = set(re.findall(r"app\.(?:fail|refuse)\(\s*'([A-Z_]+)'", source))
    listed = {code for (code,) in db.execute("select code from app.error_catalog()")}
    assert raised <= listed
    named = set(re.findall(r"'([A-Z]+_[A-Z_]+)'", source))
    assert listed - raised <= named, "codes that nothing raises"


def test_an_unknown_code_is_an_internal_error(db: Connection) -> None:
    with pytest.raises(Exception, match="query returned no rows"), db.transaction():
        db.execute("select app.fail('NO_SUCH_CODE')")


@pytest.mark.parametrize(
    ("call", "text"),
    [("app.require_text('x', '  a ', 3)", None), ("app.require_text('x', ' a ', 3)", "a"),
     ("app.require_text('x', ' ', 3)", None), ("app.require_text('x', null, 3)", None),
     ("app.require_text('x', 'ab', 3, 3)", None), ("app.require_text('x', 'abc', 3, 3)", "abc"),
     ("app.optional_text('x', ' ab ', 4)", "ab"), ("app.optional_text('x', '12345', 4)", None)],
)  # fmt: skip
def test_texts_are_trimmed_and_limited_in_length(db: Connection, call: str, text: str | None) -> None:
    if text is None:
        with refused(db, "INVALID_ARGUMENT"):
            db.execute(f"select {call}".encode())
    else:
        assert value(db, f"select {call}") == text


def test_a_blank_optional_text_is_null(db: Connection) -> None:
    for given in ("'  '", "''", "null"):
        assert value(db, f"select app.optional_text('x', {given}, 4)") is None
