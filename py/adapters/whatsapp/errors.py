"""Meta's error codes, and what to do about each. docs/whatsapp-contract.md names the page."""

from enum import Enum


class Action(Enum):
    """What an error means for the message, and for those after it."""

    RETRY = "try this message again later"
    BACK_OFF = "send nothing for a while, then try again"
    STOP = "send nothing until the token or the account is put right"
    GIVE_UP = "this message will never go out this way"


_ACTIONS = {
    Action.RETRY: {1, 2, 131000, 131016, 131056, 131057, 133004, 133005},
    Action.BACK_OFF: {4, 17, 32, 613, 80007, 130429, 131048},
    Action.STOP: {0, 3, 10, 190, 368, 131005, 131031, 131042, 131045, 133010},
}
_BY_CODE = {code: action for action, codes in _ACTIONS.items() for code in codes}


def action(code: int) -> Action:
    """What is to be done. What is not known is taken for the message's own fault."""
    if 200 <= code <= 299:
        return Action.STOP  # permissions
    return _BY_CODE.get(code, Action.GIVE_UP)
