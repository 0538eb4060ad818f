"""Minting tokens as `login` does: HS256, `role`, `sub`, whole seconds."""

import time
from typing import Any

import jwt


def mint(secret: str, role: str, sub: str | None = None, *, minutes: float = 60, **claims: Any) -> str:
    """A token for `role` and the row `sub` that lives `minutes`; further claims (`sid`, `act`) as given."""
    now = int(time.time())
    payload: dict[str, Any] = {"role": role, "iat": now, "exp": now + int(minutes * 60)}
    if sub is not None:
        payload["sub"] = str(sub)
    return jwt.encode(payload | claims, secret, algorithm="HS256")
