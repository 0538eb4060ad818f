"""hub superadmin."""

import getpass
import json
import sys

import psycopg

from adapters.common.credentials import is_published
from hub import settings
from hub.console import say
from hub.errors import UserError
from hub.migrate.bootstrap import OWNER

CREATE = """
insert into app.agents (email, password_hash, full_name, phone, role)
values (lower(%s), auth.hash_password(%s), %s, %s, 'SUPERADMIN')
"""


def superadmin(email: str, name: str, phone: str | None, database: str | None) -> None:
    """Create the account of a superadmin; the password is asked for, or read from standard input.

    Raises UserError if the account exists, or if the password or a value is invalid.
    """
    password = _ask_password()
    if is_published(password):
        raise UserError("everyone knows this password", hint="choose another one")
    try:
        with psycopg.connect(settings.database_url(database), connect_timeout=10) as conn:
            conn.execute(f"set role {OWNER}")
            conn.execute(CREATE, [email, password, name, phone])
    except psycopg.errors.UniqueViolation:
        raise UserError(
            f"an agent with the e-mail address {email} exists",
            hint="an active superadmin can send them an invitation to choose a new password",
        ) from None
    except psycopg.Error as error:
        raise UserError(f"no account was created: {_message(error)}") from None
    say(f"{email} can sign in as superadmin")


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise UserError("the passwords differ")
    return password


def _message(error: psycopg.Error) -> str:
    """The message of a refusal or of PostgreSQL, in one line."""
    primary = error.diag.message_primary or str(error).strip()
    if error.sqlstate == "PGRST":
        refusal = json.loads(primary)
        return f"{refusal['message']}; {refusal['hint']}"
    return primary
