"""Creates what a database needs before its first table: roles, schemas, extensions, default privileges.

A statement is executed only if it changes something. Roles belong to the whole cluster, and two databases may
be migrated at once: one migration then fails with `tuple concurrently updated` and is retried. A superuser is
not needed: a login with CREATEROLE that owns the database is enough, as on managed servers.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import errors, sql
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from hub.migrate import object_ownership, script
from hub.migrate.errors import MigrationError
from hub.migrate.tree import Tree, shown

OWNER = "hub_owner"
EXTENSIONS = ("pgcrypto", "btree_gist", "pg_trgm")
_SCHEMAS = ("extensions", "app", "auth", "jobs", "api", "migration")
_MINIMUM_VERSION = 150000


def bootstrap(conn: psycopg.Connection[Any], tree: Tree, passwords: Mapping[str, str | None]) -> None:
    """Prepare the database for its first step; may be repeated. `passwords` are those of logins, if given.

    Raises MigrationError for a server older than PostgreSQL 15 or without a required extension.
    """
    if conn.info.server_version < _MINIMUM_VERSION:
        raise MigrationError(
            f"the server is PostgreSQL {conn.info.server_version // 10000}; 15 or newer is needed",
            hint="upgrade the server, or use another one",
        )
    for attempt in Retrying(
        retry=retry_if_exception(_is_race),
        stop=stop_after_attempt(20),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    ):
        with attempt, conn.transaction():
            _roles(conn, tree)
            for login, password in passwords.items():
                if password:
                    ensure_password(conn, login, password)
            _schemas(conn)


def _is_race(error: BaseException) -> bool:
    """Whether another migration in the same cluster wrote the same row of the catalogue."""
    while isinstance(error, MigrationError) and error.__cause__:
        error = error.__cause__
    if isinstance(error, errors.InternalError_):
        return "concurrently" in str(error)
    return isinstance(
        error,
        errors.UniqueViolation | errors.DuplicateObject | errors.DuplicateSchema | errors.DeadlockDetected,
    )


def _roles(conn: psycopg.Connection[Any], tree: Tree) -> None:
    path = tree.sql / "roles.sql"
    if path.exists():
        script.run(conn, shown(path), path.read_text())
    member = "select pg_catalog.pg_has_role(current_user, %s, 'member')"
    if not conn.execute(member, [OWNER]).fetchall()[0][0]:
        conn.execute(f"grant {OWNER} to current_user")


def ensure_password(conn: psycopg.Connection[Any], login: str, password: str) -> None:
    """Set the password of a login unless it is set already.

    Only the SCRAM verifier reaches the server.
    """
    if conn.info.parameter_status("is_superuser") == "on":
        row = conn.execute(
            "select rolpassword from pg_catalog.pg_authid where rolname = %s", [login]
        ).fetchone()
        if row and row[0] and _verifies(row[0], password):
            return
    verifier = conn.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    conn.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(login), sql.Literal(verifier)))


def _verifies(stored: str, password: str) -> bool:
    """Whether the verifier `SCRAM-SHA-256$rounds:salt$StoredKey:ServerKey` (RFC 5803) matches."""
    parts = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)", stored)
    if not parts:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[2]), int(parts[1]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(base64.b64encode(hashlib.sha256(client_key).digest()).decode(), parts[3])


def _schemas(conn: psycopg.Connection[Any]) -> None:
    present: dict[str, str] = dict(
        conn.execute("select nspname, nspowner::regrole::text from pg_catalog.pg_namespace").fetchall()
    )
    for name in _SCHEMAS:
        if name not in present:
            conn.execute(f"create schema {name} authorization {OWNER}")
        elif present[name] != OWNER:
            conn.execute(f"alter schema {name} owner to {OWNER}")
    for name in EXTENSIONS:
        _extension(conn, name)
    database = sql.Identifier(conn.info.dbname)
    allowed = "select pg_catalog.has_database_privilege(%s, current_database(), 'CREATE')"
    if not conn.execute(allowed, [OWNER]).fetchall()[0][0]:
        conn.execute(sql.SQL("grant create on database {} to {}").format(database, sql.Identifier(OWNER)))
    open_public = """
      select from pg_catalog.pg_namespace n,
        pg_catalog.aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
      where n.nspname = 'public' and a.grantee = 0"""
    if conn.execute(open_public).rowcount:
        conn.execute("revoke all on schema public from public")
    # For the whole role, not `in schema`: a default for a schema can only add to the built-in grant.
    closed = f"""
      select from pg_catalog.pg_default_acl
      where defaclrole = '{OWNER}'::regrole and defaclnamespace = 0 and defaclobjtype = 'f'"""
    if not conn.execute(closed).rowcount:
        conn.execute(f"alter default privileges for role {OWNER} revoke execute on functions from public")
    with conn.transaction():
        conn.execute(f"set local role {OWNER}")
        conn.execute(object_ownership.LEDGER)


def _extension(conn: psycopg.Connection[Any], name: str) -> None:
    """Create a trusted extension in the schema `extensions`, or move it there."""
    row = conn.execute(
        "select extnamespace::regnamespace::text from pg_catalog.pg_extension where extname = %s", [name]
    ).fetchone()
    if row is None:
        try:
            conn.execute(f"create extension {name} schema extensions")
        except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise MigrationError(
                f"the server lacks the extension {name}",
                hint="install PostgreSQL's contrib modules (apt-get install postgresql-contrib)",
            ) from error
    elif row[0] != "extensions":
        conn.execute(f"alter extension {name} set schema extensions")
