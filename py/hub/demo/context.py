"""Where the story plays: the gateway, the phones, and the DBA's own connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from adapters.common.tokens import mint
from devtools.tryton.accounting_client import Books
from hub.demo.api import Api, Caller, Row
from hub.demo.narrator import Narrator
from hub.demo.phone import Phones
from hub.errors import UserError

ERP_ID = UUID("0190aa00-0000-7000-8000-00000000000e")
"""`sub` of the ERP adapter's tokens: a service, no row."""


@dataclass
class Stage:
    """What every scene needs."""

    narrator: Narrator
    api: Api
    phones: Phones
    dba: psycopg.Connection[Any]
    jwt_secret: str
    ids: dict[str, str] = field(default_factory=dict)
    """Whose token is whose: role -> id."""
    books: Books | None = None
    """The accountant in Tryton, where the story is told with an ERP."""

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
        patience: float = 30,
    ) -> Iterator["Stage"]:
        """Connect; two stories at once take turns."""
        try:
            dba = psycopg.connect(database_url, autocommit=True, application_name="hub demo")
        except psycopg.Error as error:
            raise UserError(f"cannot connect to the database: {str(error).strip()}") from None
        api = Api(gateway_url, narrator)
        with dba:
            with narrator.waiting("waiting for another demo to end ..."):
                dba.execute("select pg_advisory_lock(hashtext('hub demo'))")
            try:
                yield cls(narrator, api, Phones(messages, patience), dba, jwt_secret)
            finally:
                api.close()

    def service(self, role: str, sub: UUID) -> Caller:
        """A service's view: its token is minted, as its adapter does."""
        return self.api.caller(mint(self.jwt_secret, role, str(sub)))

    def run_job(self, function: str) -> None:
        """Run a scheduled job's function now, as the DBA."""
        try:
            self.dba.execute(f"select jobs.{function}()".encode())
        except psycopg.Error as error:
            raise UserError(f"the job jobs.{function}() failed: {str(error).strip()}") from None

    def deliver(self, template: str, **expected: Any) -> Row:
        """Wait for a message and show it."""
        with self.narrator.waiting("waiting for WhatsApp ..."):
            message = self.phones.wait(template, **expected)
        self.narrator.message(message)
        return message
