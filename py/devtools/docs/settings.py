"""docs/reference/settings.md: every environment variable that the project reads."""

import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import adapters.cache.settings
import adapters.erp.settings
import adapters.pages.settings
import adapters.whatsapp.settings
import hub.settings
from devtools.docs.markdown import code, page, table, text

PREFIX = "HUB_"

CLASSES: Mapping[str, tuple[str, type[BaseModel]]] = {
    "The stack": (
        "Read by `./hub`. `./hub up` creates `.data/hub.env` with ports and secrets; the environment"
        " overrides the file.",
        hub.settings.Settings,
    ),
    "Cache adapter": (
        "Read by `python -m adapters.cache`. `./hub up` passes those of the environment and of"
        " `.data/hub.env` to it.",
        adapters.cache.settings.Settings,
    ),
    "WhatsApp adapter": (
        "Read by `python -m adapters.whatsapp`. `./hub up` passes those of the environment and of"
        " `.data/hub.env` to it.",
        adapters.whatsapp.settings.Settings,
    ),
    "ERP adapter": (
        "Read by `python -m adapters.erp`. `./hub up` passes those of the environment and of `.data/hub.env`"
        " to it.",
        adapters.erp.settings.Settings,
    ),
    "Pages": (
        "Read by `python -m adapters.pages`, which serves the shop and the console of `./hub up`.",
        adapters.pages.settings.Settings,
    ),
}

OTHERS: Mapping[str, Mapping[str, str]] = {
    "Other variables": {
        "HUB_CACHE_SETTINGS": "JSON file with the cache adapter's settings, like `HUB_ERP_SETTINGS`",
        "HUB_DATA_DIR": "Data folder of the stack; `.data` of the checkout by default",
        "HUB_ERP_SETTINGS": "JSON file with the ERP adapter's settings; its keys are `erp_kind` and so on",
        "HUB_JWT_KEYS": "Keys of Compose's gateways during a rotation; `hub rotate-key --file` sets it",
        "HUB_NO_INSTALL": "1: `./hub` never installs Debian packages",
        "HUB_PAGES_SETTINGS": "JSON file with the settings of the pages' program, like `HUB_ERP_SETTINGS`",
        "HUB_PG_BIN": "Folder of PostgreSQL's programs, if not the newest installed version",
        "HUB_PG_BINS": "More such folders, separated by colons, for `hub dev matrix`",
        "HUB_POSTGREST_SHA256": "SHA-256 that a downloaded PostgREST must have",
        "HUB_ROOT": "The checkout, if the package is installed elsewhere, as in a container image",
        "HUB_YES": "1: `./hub` installs without asking, as with `--yes`; so does `CI`",
        "HUB_WHATSAPP_SETTINGS": "JSON file with the WhatsApp adapter's settings, like `HUB_ERP_SETTINGS`",
        "POSTGREST_BIN": "PostgREST's program; it goes before `PATH`, the cache and the download",
        "PYTHON": "Python 3.11 or newer with which `./hub` creates `.venv`",
    },
    "Docker Compose": {
        "HUB_ACME_FOLDER": "Folder of the host with the challenges of an ACME client, which nginx serves",
        "HUB_POSTGRES_HOST": "Host of PostgreSQL: `postgres`, or `haproxy` with the profile `ha`",
        "HUB_POSTGRES_SCALE": "1, or 0 with the profile `ha`, which has its own PostgreSQL",
        "HUB_TLS_CERTIFICATE": "Path in `HUB_TLS_FOLDER` of the certificate with its chain; empty: no TLS",
        "HUB_TLS_FOLDER": "Folder of the host with the certificate of Compose's nginx and its key",
        "HUB_TLS_KEY": "Path in `HUB_TLS_FOLDER` of the certificate's key",
        "HUB_WEB_ADDRESS": "Address of the host on which Compose's nginx listens; 127.0.0.1 by default",
        "HUB_WEB_TLS_PORT": "Port of the host on which Compose's nginx speaks TLS; 18165 by default",
    },
    "Tests": {
        "HUB_CACHE_KILLS": "Number of times that `tests/cache` kills Redis under load",
        "HUB_CACHE_TRIALS": "Number of read-your-writes trials of `tests/cache`",
        "HUB_FUZZ_CASES": "Requests of the long form of `tests/fuzz`, over all roles",
        "HUB_FUZZ_EXAMPLES": "Requests for each operation in `tests/fuzz`",
        "HUB_FUZZ_SECONDS": "Time limit of each operation in `tests/fuzz`",
        "HUB_FUZZ_SEED": "Seed of `tests/fuzz`",
        "HUB_STATEFUL_EXAMPLES": "Number of random sequences in `tests/stateful`",
        "HUB_STATEFUL_SEED": "Seed of the random sequences",
        "HUB_STATEFUL_SHRINK": "1: find the shortest failing sequence",
        "HUB_STATEFUL_STEPS": "Length of the random sequences",
    },
}
"""Variables that are no field of a settings class."""

INTERNAL = {
    "HUB_CONFIG_VERSION": "restarts a supervised program whose configuration changed",
    "HUB_LISTEN_URI": "the stand-in's connection for LISTEN, as environment variable",
    "HUB_STACK": "marks the processes of a stack",
    "HUB_TEST_TEMPLATE": "the database that `hub dev mutate` gives to the tests",
}
"""Variables that the project sets for its own processes; not documented."""

_NAME = re.compile(r"\bHUB_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_)")
_SECRET = re.compile(r"password|secret|token", re.IGNORECASE)


def settings_page() -> str:
    """Fields of the settings classes, then other variables."""
    parts = [f"## {title}\n\n{about}\n\n{_fields(class_)}" for title, (about, class_) in CLASSES.items()]
    for title, variables in OTHERS.items():
        rows = [(code(name), about) for name, about in sorted(variables.items())]
        parts.append(f"## {title}\n\n{table(['Variable', 'Meaning'], rows)}")
    return page(
        "Settings",
        "Every environment variable. [Configure](../operations/configure.md) explains where settings come"
        " from. An empty variable counts as not set. A secret `HUB_X` may be in a file instead, which"
        " `HUB_X_FILE` names.",
        *parts,
    )


def names() -> set[str]:
    """Every documented variable."""
    fields = {PREFIX + name.upper() for _, class_ in CLASSES.values() for name in class_.model_fields}
    files = {
        f"{PREFIX}{name.upper()}_FILE"
        for _, class_ in CLASSES.values()
        for name, field in class_.model_fields.items()
        if field.annotation is SecretStr
    }
    return fields | files | {name for group in OTHERS.values() for name in group}


def read_by(files: Iterable[Path]) -> set[str]:
    """Every HUB_ variable that these files mention."""
    return {name for file in files for name in _NAME.findall(file.read_text())}


def _fields(class_: type[BaseModel]) -> str:
    rows = [
        (code(PREFIX + name.upper()), _type(field), _default(name, field), text(field.description))
        for name, field in class_.model_fields.items()
    ]
    return table(["Variable", "Type", "Default", "Meaning"], rows)


def _type(field: FieldInfo) -> str:
    name = _annotation(field.annotation)
    bounds = []
    for constraint in field.metadata:
        match constraint:
            case Ge(ge=limit):
                bounds.append(f"at least {limit}")
            case Gt(gt=limit):
                bounds.append(f"above {limit}")
            case Le(le=limit):
                bounds.append(f"at most {limit}")
            case Lt(lt=limit):
                bounds.append(f"below {limit}")
            case MinLen(min_length=limit):
                bounds.append(f"at least {limit} characters")
    return ", ".join([name, *bounds])


def _annotation(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_annotation(part) for part in get_args(annotation) if part is not type(None))
    known = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
        AwareDatetime: "time",
    }
    return known.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required" if field.default_factory is None else ""
    if value is None or value == "" or _SECRET.search(name):
        return ""
    return code(value)
