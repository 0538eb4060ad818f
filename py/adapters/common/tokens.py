"""JSON Web Tokens like those of `login`: HS256 with `role`, `sub`, `iat` and `exp`."""

import base64
import json
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


def key_set(secret: str, *former: str) -> str:
    """The value of PostgREST's `jwt-secret`: the secret, or a JWKS (RFC 7517) of it and the former ones."""
    if not former:
        return secret
    encoded = [base64.urlsafe_b64encode(key.encode()).decode().rstrip("=") for key in (secret, *former)]
    keys = [{"kty": "oct", "alg": "HS256", "use": "sig", "k": key} for key in encoded]
    return json.dumps({"keys": keys}, separators=(",", ":"))
