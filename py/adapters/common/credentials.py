"""Secrets in settings: read from the environment or from files, and never those of an example."""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

PREFIX = "HUB_"

_PUBLISHED = frozenset(
    {
        *("postgres", "postgresql", "authenticator", "superuser", "redis", "hub", "admin", "root", "guest"),
        *("password", "passw0rd", "secret", "mysecretpassword", "changeit", "12345678", "1234567890"),
        # of tutorials: PostgREST's, jwt.io's
        *("reallyreallyreallyreallyverysafe", "your-256-bit-secret"),
        "a-string-secret-at-least-256-bits-long",
        "rahasia-2026",  # the demo data's
    }
)
_PLACEHOLDER = re.compile(r"(?i)change[-_ ]?me|placeholder|^<.*>$|^\.\.\.$|^your[-_ ]")


def is_published(secret: str) -> bool:
    """Whether this is a password of an example, a placeholder, or one character repeated."""
    text = secret.strip()
    return bool(text) and (
        text.lower() in _PUBLISHED
        or _PLACEHOLDER.search(text) is not None
        or (len(text) >= 8 and len(set(text)) == 1)
    )


def published_secrets(settings: BaseModel) -> list[str]:
    """The variables whose secret is published, sorted."""
    return sorted(
        PREFIX + name.upper()
        for name in type(settings).model_fields
        if isinstance(value := getattr(settings, name), SecretStr) and is_published(value.get_secret_value())
    )


def from_file(variable: str) -> str | None:
    """The secret in the file that <variable>_FILE names, without the line break at its end.

    Raises ValueError if the variable itself is set too, or if the file cannot be read.
    """
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        return None
    if os.environ.get(variable):
        raise ValueError(f"set {variable} or {variable}_FILE, not both")
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{variable}_FILE: cannot read {file}: {error}") from None


class SecretFiles(PydanticBaseSettingsSource):
    """A secret HUB_<FIELD> may be in a file that HUB_<FIELD>_FILE names, as Docker and systemd mount it."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of the file; see `from_file`."""
        is_secret = field.annotation is SecretStr
        return from_file(PREFIX + field_name.upper()) if is_secret else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The secrets that are in files."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}
