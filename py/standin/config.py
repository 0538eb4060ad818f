"""The configuration: PostgREST's file format, keys and environment variables."""

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LINE = re.compile(
    r"""^(?P<key>[A-Za-z][\w.-]*)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s#"]+))\s*(?:\#.*)?$"""
)
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_OPENAPI_MODES = ("follow-privileges", "ignore-privileges", "disabled")
_LOG_LEVELS = ("crit", "error", "warn", "info", "debug")

# PostgREST knows these keys; they have no effect here and cause no warning.
_IGNORED = {
    "db-config",
    "db-pool-max-idletime",
    "db-tx-end",
    "log-query",
    "server-timing-enabled",
}


class ConfigError(Exception):
    """The configuration is invalid; the message is one line."""


@dataclass(frozen=True)
class Config:
    """The settings; the defaults are PostgREST's."""

    db_uri: str
    db_schema: str = "public"
    db_anon_role: str | None = None
    db_pre_request: str | None = None
    db_extra_search_path: tuple[str, ...] = ("public",)
    db_pool: int = 10
    db_pool_acquisition_timeout: int = 10
    db_pool_max_lifetime: int = 1800
    db_prepared_statements: bool = True
    db_channel_enabled: bool = True
    db_channel: str = "pgrst"
    db_max_rows: int | None = None
    jwt_keys: tuple[bytes, ...] = field(default=(), repr=False)
    jwt_aud: str | None = None
    server_host: str = "!4"
    server_port: int = 3000
    admin_server_port: int | None = None
    openapi_mode: str = "follow-privileges"
    openapi_server_proxy_uri: str | None = None
    log_level: str = "error"
    server_trace_header: str | None = None
    hub_listen_uri: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The address to bind; PostgREST's wildcards become addresses."""
        return {"!4": "0.0.0.0", "*4": "0.0.0.0", "!6": "::", "*6": "::", "*": "0.0.0.0"}.get(  # noqa: S104
            self.server_host, self.server_host
        )

    @property
    def search_path(self) -> tuple[str, ...]:
        """The schemas that a request's names are looked up in."""
        return (self.db_schema, *(name for name in self.db_extra_search_path if name != self.db_schema))


def parse_text(text: str) -> dict[str, str]:
    """The keys and values of a configuration file. Raises ConfigError for a line it cannot read."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.match(stripped)
        if not found:
            raise ConfigError(f"line {number} is not of the form key = value")
        quoted = found["quoted"]
        values[found["key"].lower()] = found["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return values


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the file, let PGRST_* override it, and check the values. Raises ConfigError."""
    values: dict[str, str] = {}
    if path is not None:
        try:
            values = parse_text(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"cannot read {path}: {reason}") from None
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    for name, value in environment.items():
        if name.startswith("PGRST_"):
            values[name.removeprefix("PGRST_").lower().replace("_", "-")] = value
    if environment.get("HUB_LISTEN_URI"):
        values["hub-listen-uri"] = environment["HUB_LISTEN_URI"]
    return _Reader(values).config()


def _keys(secret: str) -> tuple[bytes, ...]:
    """The HS256 keys: the text itself, or those of a JWKS or a JWK. Raises ConfigError for other keys."""
    try:
        document = json.loads(secret)
    except ValueError:
        return (secret.encode(),)
    if not isinstance(document, dict):
        return (secret.encode(),)
    found = []
    try:
        for key in document.get("keys", [document]):
            if key["kty"] != "oct" or key.get("alg", "HS256") != "HS256":
                raise ConfigError("jwt-secret must have keys of kty oct and alg HS256, as the stand-in needs")
            found.append(base64.urlsafe_b64decode(key["k"] + "=" * (-len(key["k"]) % 4)))
    except (KeyError, TypeError, ValueError):
        raise ConfigError("jwt-secret is JSON, but neither a JWK nor a JWKS") from None
    return tuple(found)


class _Reader:
    """Takes values out one by one, so that what is left over is unknown."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.left = dict(values)

    def text(self, key: str) -> str | None:
        return self.left.pop(key, "") or None

    def number(self, key: str, low: int, high: int) -> int | None:
        value = self.text(key)
        if value is None:
            return None
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            raise ConfigError(f"{key} must be a whole number from {low} to {high}, not {value!r}")
        return int(value)

    def flag(self, key: str) -> bool:
        value = (self.text(key) or "true").lower()
        if value not in _TRUE | _FALSE:
            raise ConfigError(f"{key} must be true or false, not {value!r}")
        return value in _TRUE

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(key) or default
        if value not in allowed:
            raise ConfigError(f"{key} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def names(self, key: str, default: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in (self.left.pop(key, default)).split(",") if name.strip())

    def config(self) -> Config:
        uri = self.text("db-uri")
        if uri is None:
            raise ConfigError("db-uri is missing")
        schemas = self.names("db-schemas", self.left.pop("db-schema", "public"))
        if len(schemas) != 1:
            raise ConfigError("db-schemas must name one schema: the stand-in serves no more")
        secret = self.text("jwt-secret")
        keys = () if secret is None else _keys(secret)
        if any(len(key) < 32 for key in keys):
            raise ConfigError("jwt-secret must be at least 32 characters long")
        role_key = self.text("jwt-role-claim-key") or ".role"
        if role_key not in (".role", '."role"'):
            raise ConfigError(
                f"jwt-role-claim-key must be .role: the stand-in knows no other, not {role_key!r}"
            )
        port = self.number("server-port", 0, 65535)
        acquisition = self.number("db-pool-acquisition-timeout", 1, 3600)
        return Config(
            db_uri=uri,
            db_schema=schemas[0],
            db_anon_role=self.text("db-anon-role"),
            db_pre_request=self.text("db-pre-request"),
            db_extra_search_path=self.names("db-extra-search-path", "public"),
            db_pool=self.number("db-pool", 1, 1000) or 10,
            db_pool_acquisition_timeout=acquisition or 10,
            db_pool_max_lifetime=self.number("db-pool-max-lifetime", 1, 10**6) or 1800,
            db_prepared_statements=self.flag("db-prepared-statements"),
            db_channel_enabled=self.flag("db-channel-enabled"),
            db_channel=self.text("db-channel") or "pgrst",
            db_max_rows=self.number("db-max-rows", 0, 10**9),
            jwt_keys=keys,
            jwt_aud=self.text("jwt-aud"),
            server_host=self.text("server-host") or "!4",
            server_port=3000 if port is None else port,
            admin_server_port=self.number("admin-server-port", 0, 65535),
            openapi_mode=self.choice("openapi-mode", _OPENAPI_MODES, "follow-privileges"),
            openapi_server_proxy_uri=self.text("openapi-server-proxy-uri"),
            log_level=self.choice("log-level", _LOG_LEVELS, "error"),
            server_trace_header=self.text("server-trace-header"),
            hub_listen_uri=self.text("hub-listen-uri"),
            warnings=tuple(
                f"{key} is not known to the stand-in and is ignored"
                for key in sorted(set(self.left) - _IGNORED)
            ),
        )
