"""Who is calling: the bearer token's claims and role, and the error for an invalid token."""

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from standin.errors import ApiError

_LEEWAY_SECONDS = 30
_MAX_SAFE_TIME = 2**63


@dataclass(frozen=True)
class Caller:
    """The database role of a request, and its claims as JSON text."""

    role: str
    claims: str
    anonymous: bool


class Authenticator:
    """Turns an Authorization header into a Caller."""

    def __init__(self, keys: tuple[bytes, ...], audience: str | None, anon_role: str | None) -> None:
        self._keys = keys
        self._audience = audience
        self._anon_role = anon_role
        # A client repeats the same token: its verified claims are cached, its times are checked each time.
        self._verified = lru_cache(maxsize=1000)(self._verify)

    def caller(self, authorization: str | None) -> Caller:
        """The caller. Raises ApiError (401) for an invalid token."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return self._as_role({})
        claims = self._verified(token.strip())
        _check_times(claims, time.time())
        self._check_audience(claims.get("aud"))
        return self._as_role(claims)

    def _as_role(self, claims: dict[str, Any]) -> Caller:
        if "role" in claims:
            value = claims["role"]
            role = value if isinstance(value, str) else json.dumps(value)
        elif self._anon_role is None:
            headers = [("WWW-Authenticate", "Bearer")]
            raise ApiError(401, "PGRST302", "Anonymous access is disabled", headers=headers)
        else:
            role = self._anon_role
            claims = claims | {"role": role}
        return Caller(role, json.dumps(claims), role == self._anon_role)

    def _verify(self, token: str) -> dict[str, Any]:
        if not token:
            raise _invalid("PGRST301", "Empty JWT is sent in Authorization header")
        if not self._keys:
            raise ApiError(500, "PGRST300", "Server lacks JWT secret")
        if (parts := token.count(".") + 1) != 3:
            raise _invalid("PGRST301", f"Expected 3 parts in JWT; got {parts}")
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
        except jwt.PyJWTError:
            raise _invalid("PGRST301", "JWT cryptographic operation failed") from None
        if algorithm == "none":
            details = "JWT is unsecured but expected 'alg' was not 'none'"
            raise _invalid("PGRST301", "Wrong or unsupported encoding algorithm", details)
        if algorithm != "HS256":
            raise _no_key("No suitable key was found to decode the JWT")
        try:
            claims = json.loads(self._payload(token))
        except (ValueError, RecursionError):
            claims = None
        if not isinstance(claims, dict):
            raise _invalid("PGRST303", "Parsing claims failed")
        return claims

    def _payload(self, token: str) -> bytes:
        for key in self._keys:
            try:
                return bytes(jwt.api_jws.decode(token, key, algorithms=["HS256"]))
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError:
                raise _invalid("PGRST301", "JWT cryptographic operation failed") from None
        raise _no_key("None of the keys was able to decode the JWT")

    def _check_audience(self, audience: object) -> None:
        allowed = [audience] if isinstance(audience, str) else audience
        if audience is None:
            return
        if not isinstance(allowed, list) or not all(isinstance(item, str) for item in allowed):
            raise _invalid("PGRST303", "The JWT 'aud' claim must be a string or an array of strings")
        if self._audience is not None and allowed and self._audience not in allowed:
            raise _invalid("PGRST303", "JWT not in audience")


def _check_times(claims: dict[str, Any], now: float) -> None:
    late = _seconds(claims, "exp")
    if late is not None and now > late + _LEEWAY_SECONDS:
        raise _invalid("PGRST303", "JWT expired")
    for name, message in (("nbf", "JWT not yet valid"), ("iat", "JWT issued at future")):
        early = _seconds(claims, name)
        if early is not None and now < early - _LEEWAY_SECONDS:
            raise _invalid("PGRST303", message)


def _seconds(claims: dict[str, Any], name: str) -> int | None:
    """A time claim in seconds; one that is not a whole number counts as 1970, as in PostgREST."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("PGRST303", f"The JWT '{name}' claim must be a number")
    if not -_MAX_SAFE_TIME <= value < _MAX_SAFE_TIME or value != int(value):
        return 0
    return int(value)


def _invalid(code: str, message: str, details: str | None = None) -> ApiError:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    return ApiError(401, code, message, details, headers=[("WWW-Authenticate", challenge)])


def _no_key(details: str) -> ApiError:
    return _invalid("PGRST301", "No suitable key or wrong key type", details)
