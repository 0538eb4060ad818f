"""Programs that others declare for the stack: one JSON file each in the data folder's `programs/`.

A tool outside the product, such as a sandbox ERP, adds its server to the stack by writing a file:

    {"name": "trytond", "command": ["/usr/bin/trytond", "-c", "..."], "port": 18162, "account": "python",
     "url": "http://127.0.0.1:18162", "settings": {"erp_kind": "tryton"}}

`settings` are defaults for adapters, by field name; `hub.env` and the environment override them.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from hub.errors import UserError

_FOLDER = "programs"
_RESERVED = {
    *("postgres", "replica", "pgbouncer", "gateway", "reports", "redis", "cache", "whatsapp", "erp"),
    *("pages", "postmaster", "supervisord"),
}


@dataclass(frozen=True)
class DeclaredProgram:
    """A server that the stack supervises beside its own."""

    name: str
    command: list[str]
    port: int
    account: Literal["server", "python"] = "server"
    """`server`: the account of PostgreSQL. `python`: one that can run the checkout's Python."""
    url: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Declare the program in a data folder, readable by its owner only; returns the file."""
        path = file_of(folder, self.name)
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path


def file_of(folder: Path, name: str) -> Path:
    """The file that declares a program of this name."""
    return folder / _FOLDER / f"{name}.json"


def read(folder: Path) -> list[DeclaredProgram]:
    """The programs declared in a data folder, by name. Raises UserError for a file that declares none."""
    return [_parse(path) for path in sorted((folder / _FOLDER).glob("*.json"))]


def adapter_settings(folder: Path, *prefixes: str) -> dict[str, str]:
    """Default settings that declared programs give to the adapter of these prefixes."""
    wanted = tuple(f"{prefix.lower()}_" for prefix in prefixes)
    return {
        name: value
        for program in read(folder)
        for name, value in program.settings.items()
        if name.startswith(wanted)
    }


def _parse(path: Path) -> DeclaredProgram:
    try:
        program = DeclaredProgram(**json.loads(path.read_text()))
    except PermissionError:
        raise UserError(f"cannot read {path}", hint="run as the user who ran ./hub up") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} declares no program: {error}", hint="fix the file or delete it") from None
    if program.name != path.stem or program.name in _RESERVED:
        raise UserError(
            f"{path} declares a program named '{program.name}'",
            hint="the file bears the name of its program, which is none of the stack's own",
        )
    return program
