"""The context of a request, and the checks before its transaction commits."""

from dataclasses import dataclass, field
from difflib import get_close_matches

from standin.auth import Caller
from standin.config import Config
from standin.database import Database, Row, Work
from standin.errors import ApiError, Headers
from standin.plan import Node
from standin.request import Preferences, Request
from standin.schema_cache import Relation, SchemaCache
from standin.sql import ident

READ = ("GET", "HEAD")


@dataclass(frozen=True)
class Context:
    """Everything a handler needs for one request."""

    config: Config
    cache: SchemaCache
    database: Database
    request: Request
    caller: Caller
    preferences: Preferences
    profile: Headers = field(default_factory=list)

    @property
    def head(self) -> bool:
        """Whether only the headers are wanted."""
        return self.request.method == "HEAD"

    async def run(self, work: Work) -> Row:
        """Run the transaction with the caller's role and the settings that go with it."""
        own = self.cache.role_settings.get(self.caller.role, {})
        if own:
            work = Work(work.statement, work.read_only, work.check, {**own, **work.settings}, work.estimate)
        return await self.database.run(
            work, self.caller, self.request, self.preferences.values.get("timezone")
        )


def relation_named(context: Context, name: str) -> Relation:
    """The exposed relation. Raises ApiError (404)."""
    relation = context.cache.relations.get(name)
    if relation is None:
        schema = context.config.db_schema
        close = get_close_matches(name.lower(), context.cache.relations, 1, 0.75)
        raise ApiError(
            404,
            "PGRST205",
            f"Could not find the table '{schema}.{name}' in the schema cache",
            hint=f"Perhaps you meant the table '{schema}.{close[0]}'" if close else None,
        )
    return relation


def table_node(context: Context, relation: Relation) -> Node:
    """The root of what is read from a relation."""
    source = f"{ident(context.config.db_schema, relation.name)} as {ident(relation.name)}"
    return Node(relation.name, relation.name, source, relation.columns)


def number(value: bytes | None) -> int | None:
    """A number as PostgreSQL writes it."""
    return None if value is None else int(value)


def check_single(row: Row) -> None:
    """Raises ApiError (406) unless there is one row."""
    rows = number(row[1])
    if rows != 1:
        details = f"The result contains {rows} rows"
        raise ApiError(406, "PGRST116", "Cannot coerce the result to a single JSON object", details)


def check_affected(context: Context, row: Row) -> None:
    """Raises ApiError (400) if more rows change than the client allows."""
    most = context.preferences.max_affected
    rows = number(row[1]) or 0
    if most is not None and rows > most and context.request.method not in READ:
        details = f"The query affects {rows} rows"
        raise ApiError(400, "PGRST124", "Query result exceeds max-affected preference constraint", details)
