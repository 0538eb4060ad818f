"""The pages of web/: building them with Node."""

from hub.pages.workspace import build, folder, is_built

__all__ = ["build", "folder", "is_built"]
