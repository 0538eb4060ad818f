"""What every step of the demo needs: the API, the delivered messages, and a DBA's connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from adapters.common.tokens import mint
from hub.demo.api import Api, Caller, Row
from hub.demo.erp import Erp
from hub.demo.narrator import Narrator
from hub.demo.phones import Phones
from hub.errors import UserError

ERP_ID = UUID("0190aa00-0000-7000-8000-00000000000e")
"""`sub` of the ERP adapter's tokens: a service, not a row."""


@dataclass
class DemoContext:
    """What every step needs."""

    narrator: Narrator
    api: Api
    phones: Phones
    dba: psycopg.Connection[Any]
    jwt_secret: str
    erp: Erp | None = None
    """The ERP beside the stack, where there is one."""
    ids: dict[str, str] = field(default_factory=dict)
    """The id of each account that signed in, by role."""

    @classmethod
    @contextmanager
    def open(
        cls,
        narrator: Narrator,
        *,
        gateway_url: str,
        database_url: str,
        jwt_secret: str,
        messages: Path,
        erp: Erp | None = None,
        delivery_seconds: float = 30,
    ) -> Iterator["DemoContext"]:
        """Connect. A second demo on the same database waits until the first one ends."""
        try:
            dba = psycopg.connect(database_url, autocommit=True, application_name="hub demo")
        except psycopg.Error as error:
            raise UserError(f"cannot connect to the database: {str(error).strip()}") from None
        api = Api(gateway_url, narrator)
        with dba:
            with narrator.waiting("waiting for another demo to end ..."):
                dba.execute("select pg_advisory_lock(hashtext('hub demo'))")
            try:
                yield cls(narrator, api, Phones(messages, delivery_seconds), dba, jwt_secret, erp)
            finally:
                api.close()

    @property
    def has_erp(self) -> bool:
        """Whether the hub expects an ERP (config erp.kind); without one headquarters enters the stock."""
        return bool(self.value("select app.config_text('erp.kind') <> 'none'"))

    def service(self, role: str, sub: UUID) -> Caller:
        """A service's client, with a token that the demo mints as the service's adapter does."""
        return self.api.caller(mint(self.jwt_secret, role, str(sub)))

    def value(self, query: str, *values: Any) -> Any:
        """The first column of a query's first row, or None."""
        row = self.dba.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def run_job(self, name: str) -> None:
        """Run the command of a scheduled job now."""
        try:
            command = self.value("select command from jobs.schedule where job = %s", name)
            self.dba.execute(str(command).encode())
        except psycopg.Error as error:
            raise UserError(f"the job {name} failed: {str(error).strip()}") from None

    def deliver(self, template: str, **expected: Any) -> Row:
        """Wait for a message and show it."""
        with self.narrator.waiting("waiting for WhatsApp ..."):
            message = self.phones.wait(template, **expected)
        self.narrator.message(message)
        return message
