"""Changes a database to what the repeatable files declare: what differs, and what depends on it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql

from hub.migrate import inventory, script
from hub.migrate.declarations import CODE, OBJECTS, Declared
from hub.migrate.errors import MigrationError
from hub.migrate.inventory import BLOCKS, Key, Present, Recorded
from hub.migrate.locks import Budget, attempts

T = TypeVar("T")

Invalid = Callable[[set[str] | None], dict[str, MigrationError]]
"""Finds functions with an invalid body: all, or those that have or mention one of these names."""

_MISSING = (errors.UndefinedFunction, errors.UndefinedTable, errors.UndefinedObject)
"""Errors of a statement that names an object which is not created yet."""

_IRREPLACEABLE = (errors.InvalidFunctionDefinition, errors.InvalidTableDefinition, errors.WrongObjectType)
"""Errors of a `create or replace` whose arguments, result or columns changed."""

_DROPS = {"function": "routine", "view": "", "type": "", "trigger": "trigger", "policy": "policy"}
"""The word after DROP by kind; the identities of views and types begin with it."""


class _OverloadedError(Exception):
    """A replaced function is beside the old one, because its arguments changed: drop that first."""


class Changes:
    """The difference between the files and a database, in a transaction as the owner of all objects."""

    def __init__(
        self, conn: psycopg.Connection[Any], declared: list[Declared], ledger: dict[Key, Recorded]
    ) -> None:
        """The search_path is empty."""
        self._conn = conn
        self._declared = declared
        self._ledger = ledger
        self._budget = Budget(conn)
        self._by_key: dict[Key, list[Declared]] = {}
        for statement in declared:
            self._by_key.setdefault(statement.key, []).append(statement)
        self._sources = inventory.source_hashes(declared)
        self._present = inventory.present(conn)
        self._renewed: set[str] = set()
        self._touched: set[str] = set()
        self._granted: list[Declared] = []
        self._done: list[str] = []

    def planned(self) -> list[tuple[str, Declared]]:
        """What would be done, without what depends on it; drops are comments without text."""
        found = [
            ("replace" if key in self._present else "create", statement)
            for key in self._changed()
            for statement in self._by_key[key]
        ]
        found += [
            ("drop", Declared(kind, name, self._declared[0].path, 1, "")) for kind, name in self._undeclared()
        ]
        return found + [
            ("run", statement)
            for statement in self._declared
            if statement.kind not in OBJECTS and self._is_new(statement.key)
        ]

    def apply(self, *, regrant: bool, invalid: Invalid) -> list[str]:
        """Apply the differences; returns a line for each.

        What locks no table goes first, once. What locks some goes last, in a savepoint that is tried again
        when a lock is held by others, so that locks are short. `regrant` grants all privileges again.

        Raises MigrationError for a statement that fails, and what locks.BUSY names.
        """
        late = self._functions()
        self._privileges(regrant=regrant)
        broken = set(invalid(None)) if self._done else set[str]()
        ledger, present, renewed = self._ledger, self._present, self._renewed
        done = self._done
        for attempt in attempts():
            with attempt:
                self._ledger, self._present, self._renewed = dict(ledger), dict(present), set(renewed)
                self._done, self._touched = list(done), set()
                self._budget = Budget(self._conn)
                with self._conn.transaction():
                    self._code(late)
                    self._lock_tables()
                    self._blocks()
                    self._guards()
                    self._drop_undeclared()
                    self._late_privileges()
                    self._comments()
                    self._data()
                    for error in invalid(broken | self._touched).values():
                        raise error
        return self._done

    def _changed(self) -> list[Key]:
        """Declared objects that the database lacks, or has in another form, in the order of the files."""
        changed = []
        for key, source in self._sources.items():
            row = self._ledger.get(key)
            if key[0] in OBJECTS and not (
                row and row.source == source and inventory.state_of(self._present.get(key, [])) == row.state
            ):
                changed.append(key)
        return changed

    def _undeclared(self) -> list[Key]:
        """Objects that no file declares, but for the triggers of unchanged DO blocks."""
        return [
            key
            for key, objects in self._present.items()
            if key not in self._sources
            and self._ledger.get(key) != Recorded(BLOCKS, inventory.state_of(objects))
        ]

    def _is_new(self, key: Key) -> bool:
        return key not in self._ledger or self._ledger[key].source != self._sources[key]

    def _run(self, statement: Declared, *, replacing: bool = False) -> None:
        script.run(self._conn, statement.path, statement.replacing if replacing else statement.sql)

    def _functions(self) -> list[Key]:
        """Replace the functions that can be replaced, without a lock; returns the code that is left."""
        left = []
        for key in [key for key in self._changed() if key[0] in CODE]:
            if key[0] == "view":
                left.append(key)
                continue
            try:
                if not self._is_replaced(key):
                    left.append(key)  # it has another signature
            except MigrationError as error:
                if not isinstance(error.__cause__, _MISSING):
                    raise
                left.append(key)  # it needs a new view
        return left

    def _code(self, pending: list[Key]) -> None:
        """Views, and whatever a changed signature takes with it."""
        while pending:
            apply_all(pending, self._replace, self._conn.transaction)
            # What was dropped with an object that it depends on.
            pending = [key for key in self._sources if key[0] in CODE and key not in self._present]

    def _replace(self, key: Key) -> None:
        before = self._present, set(self._renewed), set(self._touched)
        self._touched.add(key[1])
        if key[0] == "view":
            self._budget.limit()
        try:
            if not self._is_replaced(key):
                self._recreate(key)
        except MigrationError:
            self._present, self._renewed, self._touched = before  # the savepoint is rolled back
            raise

    def _recreate(self, key: Key) -> None:
        kind, name = key
        present = self._present.get(key, [])
        if present:
            self._drop_with_dependents(kind, present)
        for statement in self._by_key[key]:
            self._run(statement)
        self._present.setdefault(key, [])
        self._renewed.add(name)
        self._note("recreated" if present else "created", key)

    def _is_replaced(self, key: Key) -> bool:
        """Create the object, or replace it if its signature allows that."""
        kind, name = key
        present, statements = self._present.get(key, []), self._by_key[key]
        if kind == "type" or (present and not len(statements) == len(present) == 1):
            return False
        try:
            with self._conn.transaction():
                for statement in statements:
                    self._run(statement, replacing=True)
                self._refuse_overloads(key)
        except _OverloadedError:
            return False
        except MigrationError as error:
            if present and isinstance(error.__cause__, _IRREPLACEABLE):
                return False
            raise
        if not present:
            self._present[key] = []
            self._renewed.add(name)
        self._note("replaced" if present else "created", key)
        return True

    def _refuse_overloads(self, key: Key) -> None:
        """Raise _OverloadedError for a function that was created beside the old one."""
        kind, name = key
        if kind == "function" and inventory.overloads(self._conn, name) != len(self._by_key[key]):
            raise _OverloadedError

    def _drop_with_dependents(self, kind: str, objects: Sequence[Present]) -> None:
        fixed = inventory.fixed(self._conn)
        self._budget.limit()
        for item in objects:
            self._conn.execute(f"drop {_DROPS[kind]} {item.identity} cascade".encode())
        if inventory.fixed(self._conn) != fixed:
            raise MigrationError(
                f"{objects[0].identity} changes its signature; an object of a schema file depends on it",
                hint="move functions of defaults, constraints and indexes to sql/schema",
            )
        left = inventory.present(self._conn)
        gone = {name for _, name in self._present.keys() - left.keys()}
        self._renewed |= gone
        self._touched |= gone
        self._present = left

    def _note(self, what: str, key: Key) -> None:
        self._done.append(f"{what} {key[0]} {key[1]}")

    def _lock_tables(self) -> None:
        """Take the strongest lock of each table first.

        Otherwise a new trigger would lock its table, a policy would then wait for a stronger lock, and a
        caller who has read the table and writes to it would be cancelled at once, as part of a deadlock.
        """
        tables = {
            key[1]
            for key in self._changed()
            if key[0] == "policy"
            or (key in self._present and any(s.is_constraint_trigger for s in self._by_key[key]))
        }
        tables |= {name for kind, name in self._undeclared() if kind in ("trigger", "policy")}
        tables |= {
            statement.name
            for statement in self._declared
            if statement.kind == "row security" and self._is_new(statement.key)
        }
        for table in sorted({name.rpartition(" on ")[2] for name in tables}):
            self._budget.limit()
            name = sql.Identifier(*table.split("."))
            self._conn.execute(sql.SQL("lock table only {} in access exclusive mode").format(name))

    def _blocks(self) -> None:
        """DO blocks create triggers in loops: all of them again if one block, or one trigger, changed."""
        blocks = [statement for statement in self._declared if statement.kind == "block"]
        theirs = {key for key, row in self._ledger.items() if row.source == BLOCKS}
        unchanged = {key for key in self._ledger if key[0] == "block"} == {b.key for b in blocks}
        if unchanged and all(
            inventory.state_of(self._present.get(key, [])) == self._ledger[key].state for key in theirs
        ):
            return
        for key in sorted(theirs & self._present.keys()):
            self._budget.limit()
            self._drop(key[0], self._present[key])
        for statement in blocks:
            self._budget.limit()
            self._run(statement)
        before, self._present = self._present, inventory.present(self._conn)
        for key, objects in self._present.items():
            if key not in self._sources and key[0] == "trigger" and (key in theirs or key not in before):
                self._ledger[key] = Recorded(BLOCKS, inventory.state_of(objects))
        self._done.append(f"ran {len(blocks)} blocks that create triggers")

    def _guards(self) -> None:
        """Triggers, policies and row security: each locks its table."""
        for key in self._changed():
            if key[0] not in ("trigger", "policy"):
                continue
            self._budget.limit()
            objects, statements = self._present.get(key, []), self._by_key[key]
            replaceable = key[0] == "trigger" and not statements[0].is_constraint_trigger
            if objects and not replaceable:
                self._drop(key[0], objects)
            for statement in statements:
                self._run(statement, replacing=replaceable)
            self._renewed.add(key[1])
            self._note("replaced" if objects else "created", key)
        for statement in self._declared:
            if statement.kind == "row security" and self._is_new(statement.key):
                self._budget.limit()
                self._run(statement)
                self._note("enabled", statement.key)

    def _drop(self, kind: str, objects: Sequence[Present]) -> None:
        for item in objects:
            try:
                self._conn.execute(f"drop {_DROPS[kind]} {item.identity}".encode())
            except errors.DependentObjectsStillExist as held:
                raise depended_on(held) from held

    def _drop_undeclared(self) -> None:
        """Drop what no file declares; one that others depend on after them."""
        keys = sorted(self._undeclared(), key=lambda key: -OBJECTS.index(key[0]))

        def drop(key: Key) -> None:
            self._touched.add(key[1])
            self._budget.limit()
            self._drop(key[0], self._present[key])
            self._note("dropped", key)

        held = keys
        while held:
            keys, held, failure = held, [], None
            for key in keys:
                try:
                    with self._conn.transaction():
                        drop(key)
                except MigrationError as error:
                    held.append(key)
                    failure = failure or error
            if failure and len(held) == len(keys):
                raise failure

    def _privileges(self, *, regrant: bool) -> None:
        """Grant what is new; all of it if something must be revoked. GRANT locks no table."""
        statements = [statement for statement in self._declared if statement.kind == "grant"]
        known = {key for key in self._ledger if key[0] == "grant" and key != inventory.ALL_GRANTS}
        wanted = {statement.key for statement in statements}
        unknown = [s for s in statements if s.key not in known]
        is_foreign = self._ledger[inventory.ALL_GRANTS].state != inventory.grants(self._conn)
        if (
            regrant
            or known - wanted
            or is_foreign
            or any(s.text.lower().startswith("revoke") for s in unknown)
        ):
            inventory.revoke_all(self._conn)
            unknown = statements
            self._done.append("granted all privileges again")
        elif unknown:
            self._done.append(f"granted {len(unknown)} privileges")
        for statement in unknown:
            try:
                with self._conn.transaction():
                    self._run(statement)
            except MigrationError as error:
                if not isinstance(error.__cause__, _MISSING):
                    raise
                self._granted.append(statement)  # later: it names a new view

    def _late_privileges(self) -> None:
        """Privileges of what was created, or created again, after the others."""
        for statement in self._declared:
            if statement.kind == "grant" and (
                statement in self._granted or statement.mentions(self._renewed)
            ):
                self._run(statement)

    def _comments(self) -> None:
        count = 0
        for statement in self._declared:
            if statement.kind == "comment" and (
                statement.commented in self._renewed or self._is_new(statement.key)
            ):
                self._budget.limit()
                self._run(statement)
                count += 1
        for kind, name in self._ledger.keys() - self._sources.keys():
            if kind == "comment":
                with suppress(*_MISSING, errors.WrongObjectType), self._conn.transaction():
                    self._conn.execute(f"comment on {name} is null".encode())
                    count += 1
        if count:
            self._done.append(f"commented {count} objects")

    def _data(self) -> None:
        """Statements that read or write rows: after every change, because what they call may have changed."""
        statements = [statement for statement in self._declared if statement.kind == "data"]
        new = sum(self._is_new(statement.key) for statement in statements)
        if new:
            self._done.append(f"ran {new} new statements on rows")
        if self._done:
            for statement in statements:
                self._run(statement)


def depended_on(held: errors.DependentObjectsStillExist) -> MigrationError:
    """The error of an object of a schema file that depends on a repeatable one."""
    message, hint = script.describe(held.diag)
    return MigrationError(
        f"{message}; an object of a schema file depends on it",
        hint=f"{hint}\n  move functions of defaults, constraints and indexes to sql/schema",
    )


def apply_all(pending: Sequence[T], run: Callable[[T], None], savepoint: Callable[[], Any]) -> None:
    """Run each; one that needs an object of a later one is run again after it.

    Raises the MigrationError of the first that fails in every order.
    """
    while pending:
        postponed: list[T] = []
        failure: MigrationError | None = None
        for item in pending:
            try:
                with savepoint():
                    run(item)
            except MigrationError as error:
                if not isinstance(error.__cause__, _MISSING):
                    raise
                postponed.append(item)
                failure = failure or error
        if failure and len(postponed) == len(pending):
            raise failure
        pending = postponed
