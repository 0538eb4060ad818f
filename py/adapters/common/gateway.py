"""A client of the gateway's RPCs, called with a service's role."""

import time
from collections.abc import Collection
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
import msgspec
import structlog
from postgrest import APIError
from postgrest.exceptions import APIErrorFromJSON, generate_default_error_message
from pydantic import ValidationError

from adapters.common.certificates import needs_certificates
from adapters.common.settings import AdapterSettings
from adapters.common.tokens import mint

PERMANENT_ERRORS = frozenset({"NOT_FOUND", "INVALID_ARGUMENT"})
"""Error codes that a retry does not change."""

STALE_SECONDS = 45.0
"""Without an answer for so long, the gateway counts as unreachable."""

_TOKEN_MINUTES = 10
_SHOWN_CHARACTERS = 200

# Amounts stay decimal on both ways. The client of postgrest-py writes no Decimal and reads floats.
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class UnexpectedAnswerError(Exception):
    """The answer is no answer of the gateway, such as the HTML page of a proxy with status 200."""


def is_transient(error: BaseException, also_permanent: Collection[str] = ()) -> bool:
    """Whether the same call can succeed later: the gateway or the database is unreachable or busy."""
    if isinstance(error, APIError):
        return error.code not in PERMANENT_ERRORS and error.code not in also_permanent
    return isinstance(error, httpx.TransportError | UnexpectedAnswerError)


class GatewayClient:
    """A client of the gateway; `call` raises httpx.HTTPError, postgrest.APIError or UnexpectedAnswerError."""

    def __init__(
        self, settings: AdapterSettings, *, role: str, service_id: UUID, timeout_seconds: float = 20
    ) -> None:
        self._secret = settings.jwt_secret
        self._role = role
        self._service_id = service_id
        self._minted_at = float("-inf")
        self._answered_at = time.monotonic()
        self._error = "it was not called yet"
        self._client = httpx.AsyncClient(
            base_url=settings.gateway_url,
            headers={"Content-Type": "application/json", "Content-Profile": "api"},
            timeout=httpx.Timeout(timeout_seconds, connect=min(5, timeout_seconds)),
            verify=needs_certificates(settings.gateway_url),
            # The environment's proxy is for calls to the internet.
            trust_env=False,
            event_hooks={"request": [_pass_request_id_on]},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        function: str,
        arguments: dict[str, Any],
        expect: type | tuple[type, ...] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Call a function of schema `api`; returns its result, which is of the type `expect`.

        Without `expect` the function has no result. Decimals are sent as JSON numbers; numbers of the result
        are int or Decimal, never float. `timeout_seconds` overrides the client's.
        """
        if time.monotonic() - self._minted_at > _TOKEN_MINUTES * 30:  # half of its life, in seconds
            token = mint(
                self._secret.get_secret_value(), self._role, str(self._service_id), minutes=_TOKEN_MINUTES
            )
            self._client.headers["Authorization"] = f"Bearer {token}"
            self._minted_at = time.monotonic()
        try:
            response = await self._client.post(
                f"rpc/{function}",
                content=_ENCODER.encode(arguments),
                timeout=httpx.USE_CLIENT_DEFAULT if timeout_seconds is None else timeout_seconds,
            )
            data = _result(function, response, expect)
        except Exception as error:
            if is_transient(error):
                self._error = str(error) or type(error).__name__
            else:
                self._record_answer()  # it answered: it refuses this call only
            raise
        self._record_answer()
        return data

    def problem(self, stale_seconds: float = STALE_SECONDS) -> str:
        """Why the gateway counts as unreachable: its last error, or its silence; empty while it answers."""
        if self._error:
            return self._error
        silent = time.monotonic() - self._answered_at
        return f"no answer for {silent:.0f} seconds" if silent > stale_seconds else ""

    def _record_answer(self) -> None:
        self._answered_at, self._error = time.monotonic(), ""


def _result(function: str, response: httpx.Response, expect: type | tuple[type, ...] | None) -> Any:
    """The result of an answer; raises APIError, or UnexpectedAnswerError for a result of another type."""
    if not response.is_success:
        try:
            error = dict(APIErrorFromJSON.model_validate_json(response.content))
        except ValidationError:
            error = generate_default_error_message(response)
        raise APIError(error)
    try:
        data = _DECODER.decode(response.content) if response.content else []
    except ValueError:  # not JSON: a page
        data = response.text
    if not (data in ([], None) if expect is None else isinstance(data, expect)):
        raise UnexpectedAnswerError(f"{function}: unexpected answer {str(data)[:_SHOWN_CHARACTERS]}")
    return data


async def _pass_request_id_on(request: httpx.Request) -> None:
    """Send the id of the request that is being answered along, if there is one."""
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        request.headers["X-Request-Id"] = str(request_id)
