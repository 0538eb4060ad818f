"""Settings of a stack: environment variables HUB_... override the data folder's hub.env.

hub.env is written once, with random secrets and free ports, and keeps them.
"""

import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import AwareDatetime, Field, SecretStr

from adapters.common.credentials import from_file, published_secrets
from adapters.common.settings import HubSettings
from adapters.common.tokens import key_set
from hub import paths
from hub.errors import UserError
from hub.ports import HOST, is_free, next_free

DEFAULT_PORTS = {
    "postgres_port": 15432,
    "replica_port": 15433,
    "pgbouncer_port": 16432,
    "gateway_port": 18150,
    "reports_port": 18151,
    "gateway_admin_port": 18155,
    "reports_admin_port": 18156,
    "supervisor_port": 18159,
    "whatsapp_port": 18160,
    "erp_port": 18161,
    "cache_port": 18163,
    "pages_port": 18164,
    "redis_port": 16379,
}
"""Loopback ports, below those of outgoing connections (32768 on), which would hold one for a moment.

If one is taken, hub.env keeps the next free one. Adapters count up from 18160; the demo's Tryton has 18162.
"""

_FILE = "hub.env"
_SECRET_FILES = ("_TOKEN_FILE", "_SECRET_FILE", "_PASSWORD_FILE", "_URL_FILE")


def _port(field: str, description: str) -> Any:
    return Field(default=DEFAULT_PORTS[field], description=description)


def _secret(description: str) -> Any:
    return Field(default=SecretStr(""), description=description)


class Settings(HubSettings):
    """The settings of a stack; the environment variable of a field is HUB_<FIELD>."""

    database: str = Field(default="hub", description="Name of the stack's database")
    postgres_port: int = _port("postgres_port", "Loopback port of PostgreSQL")
    pgbouncer_port: int = _port("pgbouncer_port", "Loopback port of PgBouncer")
    gateway_port: int = _port("gateway_port", "Loopback port of the HTTP API")
    gateway_admin_port: int = _port("gateway_admin_port", "Loopback port of the gateway's health checks")
    replica_port: int = _port("replica_port", "Loopback port of the standby, where the stack has one")
    reports_port: int = _port("reports_port", "Loopback port of the HTTP API for reports, beside a standby")
    reports_admin_port: int = _port(
        "reports_admin_port", "Loopback port of the reports gateway's health checks"
    )
    supervisor_port: int = _port("supervisor_port", "Loopback port of supervisord")
    whatsapp_port: int = _port("whatsapp_port", "Loopback port of the WhatsApp adapter")
    erp_port: int = _port("erp_port", "Loopback port of the ERP adapter")
    cache_port: int = _port("cache_port", "Loopback port of the cache adapter")
    redis_port: int = _port("redis_port", "Loopback port of Redis")
    pages_port: int = _port("pages_port", "Loopback port of the shop and the console")
    superuser_password: SecretStr = _secret("Password of the superuser `postgres` of the stack's cluster")
    authenticator_password: SecretStr = _secret("Password of `authenticator`, as which PostgREST connects")
    cache_password: SecretStr = _secret("Password of `cache`, as which the cache adapter connects")
    redis_password: SecretStr = _secret("Password of the stack's Redis")
    supervisor_password: SecretStr = _secret("Password of supervisord and of PgBouncer's console")
    replication_password: SecretStr = _secret("Password of `replicator`, as which a standby connects")
    backup_passphrase: SecretStr = _secret(
        "Passphrase of the backups; needed to restore them on another machine"
    )
    backup_folder: Path | None = Field(
        default=None, description="Folder of the backups; default: `backup` in the data folder"
    )
    backup_days: int = Field(
        default=30,
        ge=1,
        description="Days that a moment of the past can be restored; older backups are removed",
    )
    public_url: str = Field(
        default="",
        description="The https URL that clients use; `hub doctor` checks its certificate",
    )
    jwt_secret: SecretStr = _secret("HS256 key, 32 characters or more")
    jwt_previous_secret: SecretStr = _secret("The key before it, whose tokens are accepted until they expire")
    jwt_previous_until: AwareDatetime | None = Field(
        default=None, description="When its tokens have expired; `hub rotate-key` sets it"
    )
    gateway: Literal["auto", "postgrest", "standin"] = Field(
        default="auto",
        description="`auto`: PostgREST where it is available, otherwise the stand-in; the others require one",
    )
    demo: bool = Field(
        default=False,
        description="The database may hold the demo data, whose accounts have a published password; never set"
        " it where strangers can reach the hub. `hub demo` and `hub seed` set it in hub.env",
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses and networks of the proxies before the gateway, separated by commas;"
        " migrations write them to the config `auth.trusted_proxies`",
    )
    reports_connection_seconds: int = Field(
        default=60,
        ge=1,
        description="Seconds after which the reports gateway replaces a connection, and so finds the standby",
    )
    replica_wal_keep: str = Field(
        default="2GB",
        pattern=r"^[0-9]+(MB|GB)$",
        description="The most WAL that is kept for a standby that is away; beyond it is built again",
    )
    database_url: SecretStr = _secret("Direct connection of a superuser or the database's owner")

    @property
    def jwt_previous(self) -> tuple[str, datetime] | None:
        """The signing secret before the present one, and until when its tokens are accepted."""
        if not self.jwt_previous_secret or not self.jwt_previous_until:
            return None
        return self.jwt_previous_secret.get_secret_value(), self.jwt_previous_until

    @property
    def jwt_keys(self) -> str:
        """The keys that a gateway accepts: the secret itself, or a JWKS of it and the one before it."""
        previous = [self.jwt_previous[0]] if self.jwt_previous else []
        return key_set(self.jwt_secret.get_secret_value(), *previous)

    @property
    def gateway_url(self) -> str:
        """Base URL of the HTTP API."""
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def pages_url(self) -> str:
        """URL of the shop; the console is below it at console/."""
        return f"http://{HOST}:{self.pages_port}/"

    @property
    def cache_http_url(self) -> str:
        """Base URL of the cache."""
        return f"http://{HOST}:{self.cache_port}"

    @property
    def authenticator_url(self) -> str:
        """Direct URL of the database as authenticator: for the gateway, and for adapters that LISTEN."""
        return self._url("authenticator", self.authenticator_password, self.postgres_port)

    @property
    def pooled_url(self) -> str:
        """The same through PgBouncer, whose transaction pooling supports no LISTEN."""
        return self._url("authenticator", self.authenticator_password, self.pgbouncer_port)

    @property
    def cache_url(self) -> str:
        """Direct URL of the database as the cache: it keeps few connections, which need no pooler."""
        return self._url("cache", self.cache_password, self.postgres_port)

    @property
    def reports_url(self) -> str:
        """Base URL of the HTTP API for reports."""
        return f"http://{HOST}:{self.reports_port}"

    @property
    def reports_database_url(self) -> str:
        """The standby while it answers, otherwise the primary: for the reports gateway."""
        secret = quote(self.authenticator_password.get_secret_value(), safe="")
        hosts = f"{HOST}:{self.replica_port},{HOST}:{self.postgres_port}"
        return (
            f"postgresql://authenticator:{secret}@{hosts}/{self.database}"
            "?target_session_attrs=prefer-standby&connect_timeout=2"
        )

    @property
    def redis_url(self) -> str:
        """URL of the stack's Redis."""
        return f"redis://:{quote(self.redis_password.get_secret_value(), safe='')}@{HOST}:{self.redis_port}/0"

    @property
    def superuser_url(self) -> str:
        """Direct URL of the stack's own database, as superuser."""
        return self._url("postgres", self.superuser_password, self.postgres_port)

    def _url(self, user: str, password: SecretStr, port: int) -> str:
        secret = quote(password.get_secret_value(), safe="")
        return f"postgresql://{user}:{secret}@{HOST}:{port}/{self.database}"


def env_file(folder: Path) -> Path:
    """The file with the stack's secrets and ports."""
    return folder / _FILE


def read(folder: Path | None = None) -> Settings:
    """Read the settings of the stack in `folder`, by default the checkout's; the stack need not exist.

    Raises UserError for an invalid value.
    """
    try:
        file = env_file(folder or paths.data_dir())
        return Settings(_env_file=file if file.exists() else None)  # type: ignore[call-arg]
    except ValueError as error:
        raise UserError(
            f"invalid setting: {error}", hint=f"correct the environment variable HUB_... or {_FILE}"
        ) from None
    except PermissionError as error:
        raise _unreadable(Path(error.filename)) from None


def from_environment() -> Settings:
    """Read the settings from the environment alone. Raises UserError for an invalid value."""
    return read(Path("/nonexistent"))


def database_url(given: str | None = None) -> str:
    """The database that a command works on: `given`, otherwise HUB_DATABASE_URL, otherwise the stack's.

    Raises UserError if there is none.
    """
    url = given or read().database_url.get_secret_value()
    if not url:
        raise no_database()
    return url


def mark_as_demo(folder: Path) -> Settings:
    """Set HUB_DEMO in hub.env, so that `hub up` starts with the demo's accounts."""
    stored = _parse(env_file(folder))
    return _store(folder, stored | {"HUB_DEMO": "true"}, write=stored.get("HUB_DEMO") != "true")


def external_database_url(given: str | None) -> str | None:
    """A database that the caller names: `given`, otherwise HUB_DATABASE_URL, or its file, of the environment.

    Raises UserError for an invalid setting.
    """
    return given or from_environment().database_url.get_secret_value() or None


def no_database() -> UserError:
    """The error of a command that has no database to work on."""
    return UserError(
        "no database given; pass --database or set HUB_DATABASE_URL", hint="./hub up creates a local one"
    )


def read_adapter(folder: Path, *prefixes: str) -> dict[str, str]:
    """The settings HUB_<PREFIX> and HUB_<PREFIX>_... for an adapter, by field name: environment over hub.env.

    A setting with an empty value counts as not set. Raises UserError for a file of a secret that cannot be
    read, or beside the variable itself.
    """
    wanted = tuple(f"HUB_{prefix}_" for prefix in prefixes)
    values = _parse(env_file(folder)) | dict(os.environ)
    for name in os.environ:
        if name.startswith(wanted) and name.endswith(_SECRET_FILES):
            variable = name.removesuffix("_FILE")
            try:
                secret = from_file(variable)
            except ValueError as error:
                raise UserError(f"invalid setting: {error}", hint=f"correct the variable {name}") from None
            values |= {} if secret is None else {variable: secret}
    return {
        name.removeprefix("HUB_").lower(): value
        for name, value in sorted(values.items())
        if f"{name}_".startswith(wanted) and value
    }


def ensure(folder: Path) -> Settings:
    """Read the settings of the stack in `folder`; choose what is missing and write it to hub.env (mode 0600).

    Raises UserError for an invalid value.
    """
    stored = _parse(env_file(folder))
    missing = {name: value for name, value in _new_values(stored).items() if name not in stored}
    settings = _store(folder, stored | missing, write=bool(missing))
    if len(settings.jwt_secret.get_secret_value()) < 32:
        raise UserError("HUB_JWT_SECRET has fewer than 32 characters", hint="unset it, or set a longer one")
    check_secrets(settings)
    return settings


def check_secrets(settings: Settings) -> None:
    """Raise UserError for a secret that an example or a tutorial publishes, or a placeholder."""
    if found := published_secrets(settings):
        raise UserError(
            f"{' and '.join(found)}: everyone knows this value",
            hint="use a random one, such as the output of `openssl rand -base64 36`",
        )


def rotate_jwt_secret(folder: Path, until: datetime, *, accept_former: bool = True) -> Settings:
    """Choose a new signing secret; the former one is accepted until `until`, or no longer at all.

    Raises UserError if the environment sets the secret, or during another rotation.
    """
    _own_secret()
    stored = _parse(env_file(folder))
    if accept_former and stored.get("HUB_JWT_PREVIOUS_SECRET"):
        raise UserError(
            f"a rotation is under way until {stored.get('HUB_JWT_PREVIOUS_UNTIL')}",
            hint="end it with `hub rotate-key --drop`, or pass --revoke to accept neither former key",
        )
    return _store(folder, rotated(stored, until, accept_former=accept_former), write=True)


def rotated(values: dict[str, str], until: datetime, *, accept_former: bool = True) -> dict[str, str]:
    """These settings with a new signing secret, and the former one as the one before it."""
    former = values.get("HUB_JWT_SECRET", "") if accept_former else ""
    return values | {
        "HUB_JWT_SECRET": secrets.token_urlsafe(48),
        "HUB_JWT_PREVIOUS_SECRET": former,
        "HUB_JWT_PREVIOUS_UNTIL": until.isoformat(timespec="seconds") if former else "",
    }


def drop_previous_secret(folder: Path) -> Settings:
    """Forget the signing secret before the present one. Raises UserError if the environment sets it."""
    _own_secret()
    gone = {"HUB_JWT_PREVIOUS_SECRET": "", "HUB_JWT_PREVIOUS_UNTIL": ""}
    return _store(folder, _parse(env_file(folder)) | gone, write=True)


def _own_secret() -> None:
    given = [name for name in os.environ if name.startswith(("HUB_JWT_SECRET", "HUB_JWT_PREVIOUS_"))]
    if given:
        raise UserError(
            f"the environment sets {' and '.join(sorted(given))}",
            hint="rotate the key where it is kept: `hub rotate-key --file FILE` rewrites an env file",
        )


def move_taken_ports(folder: Path, fields: list[str]) -> Settings:
    """Replace those of the port settings `fields` that another program uses; hub.env keeps the new ports.

    Raises UserError for a taken port that an environment variable sets.
    """
    stored = _parse(env_file(folder))
    settings = read(folder)
    taken = {int(value) for name, value in stored.items() if name.endswith("_PORT")}
    moved = {}
    for field in fields:
        name, port = f"HUB_{field.upper()}", int(getattr(settings, field))
        if is_free(port):
            continue
        if name in os.environ:
            raise UserError(
                f"port {port} ({name}) is taken by another program",
                hint=f"set {name} to a free port, or unset it",
            )
        moved[name] = str(next_free(DEFAULT_PORTS[field], taken))
        taken.add(int(moved[name]))
    return _store(folder, stored | moved, write=bool(moved))


def _store(folder: Path, values: dict[str, str], *, write: bool) -> Settings:
    """Write hub.env if `write` is set; returns the settings that result from it and the environment."""
    file = env_file(folder)
    if write:
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        head = "# Written by `hub up`. Environment variables of the same names override it.\n"
        replace_private(file, head + text)
    settings = read(folder)
    if external_database_url(None):
        return settings
    url = settings.superuser_url
    settings.database_url = SecretStr(url)
    if values.get("HUB_DATABASE_URL") != url:
        return _store(folder, values | {"HUB_DATABASE_URL": url}, write=True)
    return settings


def replace_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, or replace it at once."""
    making = file.with_name(f".{file.name}.making")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    making.replace(file)


def _parse(file: Path) -> dict[str, str]:
    try:
        text = file.read_text() if file.exists() else ""
    except PermissionError:
        raise _unreadable(file) from None
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _unreadable(file: Path) -> UserError:
    return UserError(f"cannot read {file}", hint="run as the user who ran ./hub up")


def _new_values(stored: dict[str, str]) -> dict[str, str]:
    """Values for what hub.env lacks. A port from the environment is for this run only and is not stored."""
    values: dict[str, str] = {}
    taken = {int(value) for name, value in stored.items() if name.endswith("_PORT")}
    for field, default in DEFAULT_PORTS.items():
        name = f"HUB_{field.upper()}"
        if name not in stored and name not in os.environ:
            port = next_free(default, taken)
            taken.add(port)
            values[name] = str(port)
    for login in ("SUPERUSER", "AUTHENTICATOR", "CACHE", "REDIS", "SUPERVISOR", "REPLICATION"):
        values[f"HUB_{login}_PASSWORD"] = secrets.token_urlsafe(24)
    values["HUB_BACKUP_PASSPHRASE"] = secrets.token_urlsafe(36)
    values["HUB_JWT_SECRET"] = secrets.token_urlsafe(48)
    return values
