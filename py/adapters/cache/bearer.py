"""The caller: claims of the bearer token, verified by the rules of the gateway (PostgREST)."""

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from adapters.cache.errors import RefusedError

_LEEWAY_SECONDS = 30  # PostgREST's
_MAX_SAFE_TIME = 2**63
_KEPT = 10_000
_ANONYMOUS = '{"role":"anon"}'


@dataclass(frozen=True)
class _Verified:
    claims: dict[str, Any]
    text: str


class Verifier:
    """Turns an Authorization header into verified claims."""

    def __init__(self, *secrets: str) -> None:
        """`secrets` are the gateway's HS256 keys: the present one, and during a rotation the former one."""
        self._secrets = secrets
        # Clients repeat their tokens: signatures are verified once, times at each request.
        self._known = lru_cache(maxsize=_KEPT)(self._verify)

    def claims(self, authorization: str | None) -> str:
        """The claims as JSON text; those of `anon` without a bearer token.

        Raises RefusedError (401) for a token that the gateway refuses.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return _ANONYMOUS
        verified = self._known(token.strip())
        _check_times(verified.claims, time.time())
        return verified.text

    def _verify(self, token: str) -> _Verified:
        if not token:
            raise _invalid("PGRST301", "Empty JWT is sent in Authorization header")
        if (parts := token.count(".") + 1) != 3:
            raise _invalid("PGRST301", f"Expected 3 parts in JWT; got {parts}")
        claims = _object(self._payload(token))
        audience = claims.get("aud")
        if audience is not None and not _is_text_or_texts(audience):
            raise _invalid("PGRST303", "The JWT 'aud' claim must be a string or an array of strings")
        claims.setdefault("role", "anon")
        text = json.dumps(claims)
        if "\\u0000" in text:  # PostgreSQL's jsonb holds no such character, and no claim of the hub does
            raise _invalid("PGRST303", "Parsing claims failed")
        return _Verified(claims, text)

    def _payload(self, token: str) -> bytes:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
        except jwt.PyJWTError:
            raise _invalid("PGRST301", "JWT cryptographic operation failed") from None
        if algorithm == "none":
            details = "JWT is unsecured but expected 'alg' was not 'none'"
            raise _invalid("PGRST301", "Wrong or unsupported encoding algorithm", details)
        if algorithm != "HS256":
            raise _no_key("No suitable key was found to decode the JWT")
        for secret in self._secrets:
            try:
                return bytes(jwt.api_jws.decode(token, secret, algorithms=["HS256"]))
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError:
                raise _invalid("PGRST301", "JWT cryptographic operation failed") from None
        raise _no_key("None of the keys was able to decode the JWT")


def _object(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise _invalid("PGRST303", "Parsing claims failed")
    return claims


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_text_or_texts(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str) for item in values)


def _check_times(claims: dict[str, Any], now: float) -> None:
    late = _seconds(claims, "exp")
    if late is not None and now > late + _LEEWAY_SECONDS:
        raise _invalid("PGRST303", "JWT expired")
    for name, message in (("nbf", "JWT not yet valid"), ("iat", "JWT issued at future")):
        early = _seconds(claims, name)
        if early is not None and now < early - _LEEWAY_SECONDS:
            raise _invalid("PGRST303", message)


def _seconds(claims: dict[str, Any], name: str) -> int | None:
    """A time claim in seconds; one that is no whole number counts as 1970, as in PostgREST."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid("PGRST303", f"The JWT '{name}' claim must be a number")
    if not -_MAX_SAFE_TIME <= value < _MAX_SAFE_TIME or value != int(value):
        return 0
    return int(value)


def _invalid(code: str, message: str, details: str | None = None) -> RefusedError:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    return RefusedError(401, code, message, details=details, headers={"WWW-Authenticate": challenge})


def _no_key(details: str) -> RefusedError:
    return _invalid("PGRST301", "No suitable key or wrong key type", details)
