"""Calls a command; its module is loaded only then, which keeps `--help` fast."""

import importlib
from typing import Any

import typer

from hub.console import print_error
from hub.errors import UserError


def call(module: str, function: str, *arguments: Any, **options: Any) -> None:
    """Import `module` and call `function` with the arguments.

    A UserError is printed and becomes typer.Exit with its exit code. Other exceptions are defects and
    propagate.
    """
    try:
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise UserError(f"the module {module} is not installed") from None
        getattr(loaded, function)(*arguments, **options)
    except UserError as error:
        raise typer.Exit(print_error(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
