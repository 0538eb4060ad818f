"""JSON Web Tokens like those of `login`: HS256 with `role`, `sub`, `iat` and `exp`."""

import time
from typing import Any

import jwt


def mint(secret: str, role: str, sub: str | None = None, *, minutes: float = 60, **claims: Any) -> str:
    """Mint a token for `role` that expires after `minutes`.

    `secret` is the gateway's HS256 key, `sub` the id of the caller's row; further claims (`sid`, `act`) are
    added as given.
    """
    now = int(time.time())
    payload: dict[str, Any] = {"role": role, "iat": now, "exp": now + int(minutes * 60)}
    if sub is not None:
        payload["sub"] = str(sub)
    return jwt.encode(payload | claims, secret, algorithm="HS256")
