"""Tryton's JSON-RPC: one session, its types of numbers and dates, its errors sorted by what they mean for us.

proteus, Tryton's client library, reads record by record, without time limits and without telling what surely
was not done from what may have been. Here httpx is the better tool; the tests' set-up is made with proteus.
"""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

import httpx

from adapters.erp.port import (
    BusyError,
    LoginRefusedError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)

logger = logging.getLogger(__name__)

_LOCKED_SECONDS = 300
"""After 429: Tryton counts failed logins over some minutes."""
_WARNINGS = 10
"""Questions in a row that we answer with yes."""


class Client:
    """A database on a Tryton server, as one user."""

    def __init__(
        self,
        url: str,
        database: str,
        login: str,
        password: str,
        timeout: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._path = f"{url.rstrip('/')}/{database}/rpc/"  # without the last slash Tryton answers 308
        self._login, self._password = login, password
        self._session: str | None = None
        self._refused = ""
        self._locked_until = float("-inf")
        self._ids = count(1)
        self._door = asyncio.Lock()
        self.context: dict[str, Any] = {}
        self.user = 0
        self.clock = datetime.now(UTC)
        """The server's clock when it last answered."""
        # Bodies of more than 1,400 characters are labelled gzip even for those who do not ask for it.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(5, timeout)),
            headers={"Accept-Encoding": "gzip"},
            trust_env=False,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Let the connection go; the session is left to expire, as a killed adapter would leave it."""
        await self._http.aclose()

    async def call(self, method: str, *params: Any, context: dict[str, Any] | None = None) -> Any:
        """Call a method of a model; logs in as need be. A session that has expired is renewed, once."""
        for attempt in (1, 2):
            async with self._door:
                if self._session is None:
                    await self._log_in()
            session = self._session
            # The user's own context, the company foremost, is known from here on: without it prices are None.
            arguments = [*params, self.context | (context or {})]
            try:
                return await self._post(method, arguments, session)
            except _SessionExpiredError:
                if self._session == session:
                    self._session = None
                if attempt == 2:
                    raise LoginRefusedError(f"{method}: a fresh session is not accepted") from None
        raise AssertionError

    async def agree(self, method: str, *params: Any, context: dict[str, Any] | None = None) -> Any:
        """As `call`, answering yes to Tryton's warnings: nobody sits here, and the hub has decided."""
        for _ in range(_WARNINGS):
            try:
                return await self.call(method, *params, context=context)
            except WarnedError as warning:
                logger.info("%s: Tryton warns: %s", method, warning)
                await self.call("model.res.user.warning.skip", warning.name)
        raise RefusedError(f"{method}: Tryton does not stop warning")

    async def search_read(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        limit: int | None = None,
        order: Sequence[tuple[str, str]] | None = (("id", "ASC"),),
        context: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of a model; dotted fields nest under `"name."`."""
        rows = await self.call(
            f"model.{model}.search_read", list(domain), 0, limit, order, list(fields), context=context
        )
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
            raise UnknownOutcomeError(f"{model}: the answer is no list of rows")
        return rows

    async def _log_in(self) -> None:
        if self._refused:
            raise LoginRefusedError(self._refused)
        if (left := self._locked_until - time.monotonic()) > 0:
            raise BusyError("Tryton has locked the login for some minutes", left)
        try:
            answer = await self._post(
                "common.db.login", [self._login, {"password": self._password}, "en"], None
            )
        except _SessionExpiredError:
            # Once is a wrong password; six times lock everybody out who comes from this address.
            self._refused = (
                f"Tryton refuses the login of '{self._login}': restart the adapter when it is put right"
            )
            raise LoginRefusedError(self._refused) from None
        if not isinstance(answer, list) or len(answer) < 2:
            raise UnknownOutcomeError("the answer to the login is none")
        self.user = int(answer[0])
        token = base64.b64encode(f"{self._login}:{self.user}:{answer[1]}".encode()).decode()
        session = f"Session {token}"
        preferences = await self._post("model.res.user.get_preferences", [True, {}], session)
        self.context = {
            key: preferences[key] for key in ("company", "companies", "language") if key in preferences
        }
        self._session = session

    async def _post(self, method: str, params: list[Any], session: str | None) -> Any:
        number = next(self._ids)
        body = json.dumps({"id": number, "method": method, "params": params}, default=_encode)
        headers = {"Content-Type": "application/json"} | ({"Authorization": session} if session else {})
        try:
            response = await self._http.post(self._path, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise UnreachableError(f"Tryton does not answer: {error or type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise UnknownOutcomeError(f"{method}: {type(error).__name__} {error}".strip()) from error
        self._judge_status(method, response)
        if moment := response.headers.get("date"):
            self.clock = parsedate_to_datetime(moment)
        return _result(method, number, response)

    def _judge_status(self, method: str, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 401:
            raise _SessionExpiredError
        if status == 429:
            self._locked_until = time.monotonic() + _LOCKED_SECONDS
            raise BusyError("Tryton has locked the login for some minutes", _LOCKED_SECONDS)
        if status in (403, 404) or 300 <= status < 400:
            raise LoginRefusedError(f"{method}: HTTP {status}: is it the right URL, database and user?")
        raise UnknownOutcomeError(f"{method}: HTTP {status}")


class WarnedError(RefusedError):
    """Tryton asks whether one is sure."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _SessionExpiredError(Exception):
    """HTTP 401."""


def _result(method: str, number: int, response: httpx.Response) -> Any:
    try:
        answer = json.loads(response.text, object_hook=_decode, parse_float=Decimal)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise UnknownOutcomeError(f"{method}: the answer is not Tryton's JSON ({error})") from error
    if not isinstance(answer, dict) or answer.get("id") != number:
        raise UnknownOutcomeError(f"{method}: the answer is to another question")
    if "error" in answer:
        raise _refusal(method, answer["error"])
    if "result" not in answer:
        raise UnknownOutcomeError(f"{method}: the answer holds no result")
    return answer["result"]


def _refusal(method: str, error: Any) -> Exception:
    if not isinstance(error, list) or not error:
        return UnknownOutcomeError(f"{method}: an error without a name")
    kind, details = error[0], error[1] if len(error) > 1 and isinstance(error[1], list) else []
    if kind == "UserWarning" and len(details) > 1:
        return WarnedError(str(details[0]), str(details[1]))
    if kind == "ConcurrencyException":
        return BusyError(f"{method}: somebody else has just changed it")
    if kind == "UserError":
        return RefusedError(" ".join(str(part) for part in details[:2] if part) or method)
    # An exception inside Tryton, such as its database being away: no decision, and perhaps better next time.
    return UnknownOutcomeError(f"{method}: {str(kind)[:200]}")


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime"} | {name: getattr(moment, name) for name in names}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"cannot be told to Tryton: {type(value).__name__}")


def _decode(value: dict[str, Any]) -> Any:
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind == "datetime":
        return datetime(tzinfo=UTC, **{name: value[name] for name in value if name != "__class__"})
    if kind == "date":
        return date(value["year"], value["month"], value["day"])
    return value
