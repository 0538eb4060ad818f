"""DECLARE sections initialise plain values: what locks or raises is read in the body."""

import re
from typing import Any

import psycopg

Db = psycopg.Connection[Any]

_DECLARE = re.compile(r"\bdeclare\b(.*?)\bbegin\b", re.DOTALL | re.IGNORECASE)
_CALL = re.compile(r"\b((?:app|api|auth|jobs)\.\w+)\(")
_ACTS = re.compile(r"\bapp\.(?:fail|violate_check)\(|\bfor (?:no key )?update\b|\bfor share\b|\block table\b")


def acting_functions(bodies: dict[str, str]) -> set[str]:
    """The functions that lock or raise, themselves or through a function that they call."""
    calls = {name: set(_CALL.findall(body)) for name, body in bodies.items()}
    acting = {name for name, body in bodies.items() if _ACTS.search(body)}
    while more := {name for name, called in calls.items() if called & acting} - acting:
        acting |= more
    return acting


def declared_calls(body: str) -> set[str]:
    """The functions that a body calls in its DECLARE sections."""
    return {name for section in _DECLARE.findall(body) for name in _CALL.findall(section)}


def test_no_function_locks_or_raises_in_declare(db: Db) -> None:
    bodies: dict[str, str] = {}
    for name, body in db.execute(
        "select p.pronamespace::regnamespace || '.' || p.proname, p.prosrc from pg_proc p"
        " where p.pronamespace::regnamespace::text in ('app', 'api', 'auth', 'jobs')"
    ):
        bodies[name] = bodies.get(name, "") + body
    acting = acting_functions(bodies)
    assert {name: found for name, body in bodies.items() if (found := declared_calls(body) & acting)} == {}


def test_call_that_raises_through_another_function_is_found_in_declare() -> None:
    bodies = {
        "app.check": "begin perform app.fail('X'); end",
        "app.outer": "begin perform app.check(); end",
        "app.bad": "declare v int := app.outer(); begin return v; end",
        "app.good": "declare v int := app.pure(); begin perform app.outer(); end",
    }
    acting = acting_functions(bodies)
    assert acting == {"app.check", "app.outer", "app.bad", "app.good"}
    assert declared_calls(bodies["app.bad"]) & acting == {"app.outer"}
    assert declared_calls(bodies["app.good"]) & acting == set()
