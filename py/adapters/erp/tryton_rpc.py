"""Tryton's JSON-RPC: a session, conversion of numbers and dates, errors classified by their consequence.

proteus, Tryton's client library, reads record by record, has no time limits and does not distinguish a call
that was not executed from one that may have been. So this module uses httpx.
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

from adapters.common.certificates import needs_certificates
from adapters.erp.port import (
    BusyError,
    LoginRefusedError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)

logger = logging.getLogger(__name__)

_LOCKED_SECONDS = 300
"""Pause after HTTP 429: Tryton counts the failed logins of the last minutes."""
_MAX_WARNINGS = 10
"""Warnings of one call that are confirmed."""


class Client:
    """A client of one database of a Tryton server, logged in as one user.

    `timeout` is in seconds. Methods raise ErpError.
    """

    def __init__(
        self,
        url: str,
        database: str,
        login: str,
        password: str,
        timeout: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._path = f"{url.rstrip('/')}/{database}/rpc/"  # without the trailing slash Tryton answers 308
        self._login, self._password = login, password
        self._session: str | None = None
        self._refused = ""
        self._locked_until = float("-inf")
        self._ids = count(1)
        self._login_lock = asyncio.Lock()
        self.context: dict[str, Any] = {}
        self.user = 0
        self.clock = datetime.now(UTC)
        """The server's time at its last answer."""
        # Tryton compresses bodies above 1,400 characters even for clients that do not accept gzip.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(5, timeout)),
            headers={"Accept-Encoding": "gzip"},
            verify=needs_certificates(url),
            trust_env=False,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connection. The session expires by itself, as after a killed adapter."""
        await self._http.aclose()

    async def call(self, method: str, *params: Any, context: dict[str, Any] | None = None) -> Any:
        """Call a method of a model; logs in first if necessary, and once more after an expired session."""
        for attempt in (1, 2):
            async with self._login_lock:
                if self._session is None:
                    await self._log_in()
            session = self._session
            # The user's context is known after the login; without its company, prices are None.
            arguments = [*params, self.context | (context or {})]
            try:
                return await self._post(method, arguments, session)
            except _SessionExpiredError:
                if self._session == session:
                    self._session = None
                if attempt == 2:
                    raise LoginRefusedError(f"{method}: Tryton refuses a new session") from None
        raise AssertionError

    async def call_confirming(self, method: str, *params: Any, context: dict[str, Any] | None = None) -> Any:
        """Like `call`, but confirm Tryton's warnings: they ask a user, and the hub has decided already."""
        for _ in range(_MAX_WARNINGS):
            try:
                return await self.call(method, *params, context=context)
            except WarnedError as warning:
                logger.info("%s: Tryton warns: %s", method, warning)
                await self.call("model.res.user.warning.skip", warning.name)
        raise RefusedError(f"{method}: Tryton still warns after {_MAX_WARNINGS} confirmations")

    async def search_read(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        limit: int | None = None,
        order: Sequence[tuple[str, str]] | None = (("id", "ASC"),),
        context: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Read rows of a model; dotted fields are nested under `"name."`."""
        rows = await self.call(
            f"model.{model}.search_read", list(domain), 0, limit, order, list(fields), context=context
        )
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
            raise UnknownOutcomeError(f"{model}: the answer is not a list of rows")
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
            # Do not retry: Tryton blocks the address after six failed logins.
            self._refused = f"Tryton refuses the login of '{self._login}': correct it and restart the adapter"
            raise LoginRefusedError(self._refused) from None
        if not isinstance(answer, list) or len(answer) < 2:
            raise UnknownOutcomeError("the answer to the login is invalid")
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
        self._check_status(method, response)
        if moment := response.headers.get("date"):
            self.clock = parsedate_to_datetime(moment)
        return _result(method, number, response)

    def _check_status(self, method: str, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 401:
            raise _SessionExpiredError
        if status == 429:
            self._locked_until = time.monotonic() + _LOCKED_SECONDS
            raise BusyError("Tryton has locked the login for some minutes", _LOCKED_SECONDS)
        if status in (403, 404) or 300 <= status < 400:
            raise LoginRefusedError(f"{method}: HTTP {status}: check the URL, database and user")
        raise UnknownOutcomeError(f"{method}: HTTP {status}")


class WarnedError(RefusedError):
    """Tryton asks for a confirmation; `name` identifies the warning."""

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
        raise UnknownOutcomeError(f"{method}: the answer belongs to another call")
    if "error" in answer:
        raise _classify(method, answer["error"])
    if "result" not in answer:
        raise UnknownOutcomeError(f"{method}: the answer holds no result")
    return answer["result"]


def _classify(method: str, error: Any) -> Exception:
    """The exception for the error object of an answer."""
    if not isinstance(error, list) or not error:
        return UnknownOutcomeError(f"{method}: an error without a name")
    kind, details = error[0], error[1] if len(error) > 1 and isinstance(error[1], list) else []
    if kind == "UserWarning" and len(details) > 1:
        return WarnedError(str(details[0]), str(details[1]))
    if kind == "ConcurrencyException":
        return BusyError(f"{method}: the record was changed concurrently")
    if kind == "UserError":
        return RefusedError(" ".join(str(part) for part in details[:2] if part) or method)
    # An exception inside Tryton, such as an unreachable database: it may not occur again.
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
    raise TypeError(f"cannot encode {type(value).__name__} for Tryton")


def _decode(value: dict[str, Any]) -> Any:
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind == "datetime":
        return datetime(tzinfo=UTC, **{name: value[name] for name in value if name != "__class__"})
    if kind == "date":
        return date(value["year"], value["month"], value["day"])
    return value
