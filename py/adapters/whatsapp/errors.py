"""What a failed call to Meta means for message and channel: the table of docs/whatsapp/contract.md.

`error.code` of Meta's error object decides. An answer without one comes from a proxy in between; its status
decides whether the request can have reached Meta.
"""

from enum import Enum

import httpx
from pywa_async.errors import WhatsAppError

from adapters.whatsapp.breaker import BACK_OFF, REFUSED
from adapters.whatsapp.delivery import DeliveryError, UnknownOutcomeError


class Action(Enum):
    """The consequence of an error of Meta for this message and for those after it."""

    RETRY = "try this message again later"
    BACK_OFF = "pause all sending for a while"
    STOP = "pause all sending until the token or the account is fixed"
    GIVE_UP = "this message can never be delivered over WhatsApp"


_ACTIONS = {
    Action.RETRY: {1, 131000, 131056, 133005},
    Action.BACK_OFF: {2, 4, 17, 32, 613, 80007, 130429, 131016, 131048, 131057, 131064, 133004},
    Action.STOP: {0, 3, 10, 190, 368, 131005, 131031, 131042, 131045, 133010},
    Action.GIVE_UP: {131026, 131047},
}
_BY_CODE = {code: action for action, codes in _ACTIONS.items() for code in codes}

_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)
"""Failures before the request left."""

_REFUSED_TOKEN = {0, 190}


class ForeignAnswerError(Exception):
    """The answer is not Meta's: no JSON, or an error without Meta's error object."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


async def require_metas_answer(response: httpx.Response) -> None:
    """An event hook of httpx. Raises ForeignAnswerError for the answer of a proxy in between."""
    await response.aread()
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success:
        genuine = isinstance(body, dict)
    else:
        error = body.get("error") if isinstance(body, dict) else None
        genuine = isinstance(error, dict) and isinstance(error.get("code"), int) and "message" in error
    if not genuine:
        raise ForeignAnswerError(response.status_code)


def action(code: int, *, is_transient: bool = False) -> Action:
    """The action for Meta's error `code`; Meta's own `is_transient` decides for codes without a rule."""
    if 200 <= code <= 299:
        return Action.STOP  # permissions
    return _BY_CODE.get(code, Action.RETRY if is_transient else Action.GIVE_UP)


def failure(error: Exception) -> DeliveryError | UnknownOutcomeError:
    """The failure of a call to Meta, as `Delivery.deliver` raises it."""
    if isinstance(error, WhatsAppError):
        consequence = action(error.code, is_transient=bool(error.is_transient))
        pause = {Action.BACK_OFF: BACK_OFF, Action.STOP: REFUSED}.get(consequence)
        return DeliveryError(str(error.code), retry=consequence is not Action.GIVE_UP, pause=pause)
    if isinstance(error, ForeignAnswerError):
        # A proxy that lost Meta's answer reports 500, 502 or 504; 503 and 511 are answered before forwarding.
        if 300 <= error.status <= 499 or error.status in (503, 511):
            return DeliveryError(str(error), retry=True, tried=False, pause=BACK_OFF)
        return UnknownOutcomeError(str(error))
    if isinstance(error, _NOT_SENT):
        return DeliveryError(type(error).__name__, retry=True, tried=False, pause=BACK_OFF)
    # A timeout, a cut connection or an invalid answer: the message may have been sent.
    return UnknownOutcomeError(type(error).__name__)


def probe_failure(error: Exception) -> DeliveryError | UnknownOutcomeError | None:
    """Why a probe shows that nothing can be sent; None if Meta answered.

    A token for messages alone may not read the number, so of Meta's errors only a refused token counts.
    """
    if isinstance(error, WhatsAppError) and error.code not in _REFUSED_TOKEN:
        return None
    return failure(error)
