"""Meta's error codes and the action that each requires; sources in docs/whatsapp/contract.md."""

from enum import Enum


class Action(Enum):
    """The consequence of an error for this message and for those after it."""

    RETRY = "try this message again later"
    BACK_OFF = "pause all sending for a while"
    STOP = "pause all sending until the token or the account is fixed"
    GIVE_UP = "this message can never be delivered over WhatsApp"


_ACTIONS = {
    Action.RETRY: {1, 2, 131000, 131016, 131056, 131057, 133004, 133005},
    Action.BACK_OFF: {4, 17, 32, 613, 80007, 130429, 131048},
    Action.STOP: {0, 3, 10, 190, 368, 131005, 131031, 131042, 131045, 133010},
}
_BY_CODE = {code: action for action, codes in _ACTIONS.items() for code in codes}


def action(code: int) -> Action:
    """The action for Meta's error `code`; an unknown code counts as a fault of the message."""
    if 200 <= code <= 299:
        return Action.STOP  # permissions
    return _BY_CODE.get(code, Action.GIVE_UP)
