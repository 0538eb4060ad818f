"""The HTTP API as a frontend calls it, with the `postgrest` client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_plus

import httpx
from postgrest import APIError, SyncPostgrestClient

from hub.demo.narrator import Narrator
from hub.errors import UserError

Row = dict[str, Any]


class Api:
    """One HTTP connection pool; `caller` returns a client for one token."""

    def __init__(self, url: str, narrator: Narrator) -> None:
        self.url = url
        self._narrator = narrator
        self._last: httpx.Response | None = None
        self._http = httpx.Client(
            timeout=30, trust_env=False, event_hooks={"response": [self._remember]}, follow_redirects=True
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def caller(self, token: str | None = None) -> "Caller":
        """A client with this token; without one, the role is `anon`."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = SyncPostgrestClient(self.url, schema="api", headers=headers, http_client=self._http)
        return Caller(self, client)

    def narrate(self, summary: str) -> None:
        """Show the last call with a summary of its answer."""
        if self._last is not None:
            request = self._last.request
            query = unquote_plus(request.url.query.decode())
            path = request.url.path + (f"?{query}" if query else "")
            self._narrator.call(request.method, path, self._last.status_code, summary)

    @property
    def status(self) -> int:
        """HTTP status of the last answer."""
        return self._last.status_code if self._last is not None else 0

    def _remember(self, response: httpx.Response) -> None:
        self._last = response


class Caller:
    """A client of the API. Raises UserError when the gateway refuses a call or is unreachable."""

    def __init__(self, api: Api, client: SyncPostgrestClient) -> None:
        self._api = api
        self._client = client

    def rpc(self, function: str, **arguments: Any) -> Any:
        """Call `/rpc/<function>`."""
        with _named(f"POST /rpc/{function}"):
            return self._client.rpc(function, arguments).execute().data

    def refusal(self, function: str, **arguments: Any) -> Row:
        """Make a call that the API must refuse; returns the body of the refusal, or {} if it succeeds."""
        try:
            self._client.rpc(function, arguments).execute()
        except APIError as error:
            return error.json()
        return {}

    def rows(self, view: str, select: str = "*", order: str = "", limit: int = 0, **equal: Any) -> list[Row]:
        """GET rows of a view. A list in `equal` matches any of its values; `order="-x"` sorts descending."""
        with _named(f"GET /{view}"):
            query = self._client.from_(view).select(select)
            for column, value in equal.items():
                query = query.in_(column, value) if isinstance(value, list) else query.eq(column, value)
            if order:
                query = query.order(order.lstrip("-"), desc=order.startswith("-"))
            if limit:
                query = query.limit(limit)
            data: Any = query.execute().data
            return list(data)

    def upsert(self, view: str, rows: list[Row], on_conflict: str) -> list[Row]:
        """POST rows of master data, which update those with the same key; returns them."""
        with _named(f"POST /{view}"):
            data: Any = self._client.from_(view).upsert(rows, on_conflict=on_conflict).execute().data
            return list(data)

    def row(self, view: str, select: str = "*", **equal: Any) -> Row:
        """GET exactly one row; raises UserError for none or several."""
        found = self.rows(view, select, **equal)
        if len(found) != 1:
            raise UserError(f"GET /{view}: {len(found)} rows, expected one")
        return found[0]


@contextmanager
def _named(call: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        details = f" ({error.details})" if error.details else ""
        raise UserError(f"{call} was refused: {error.code} {error.message}{details}") from None
    except httpx.TransportError as error:
        raise UserError(f"{call}: the gateway does not answer: {error}", hint="./hub logs gateway") from None
