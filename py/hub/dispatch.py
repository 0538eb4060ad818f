"""Running a command whose module is loaded only when it is called."""

import importlib
from typing import Any

import typer

from hub.console import complain
from hub.errors import UserError


def call(module: str, function: str, *arguments: Any, **options: Any) -> None:
    """Import `module` and call `function`; a UserError becomes a line, a hint and its exit code.

    Raises typer.Exit with the exit code; any other exception is a defect and passes through.
    """
    try:
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise UserError(f"this checkout has no {module}") from None
        getattr(loaded, function)(*arguments, **options)
    except UserError as error:
        raise typer.Exit(complain(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
