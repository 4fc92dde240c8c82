"""Optional dependencies: what an extra brings, or an error that names the extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from nversion.errors import MissingExtraError

__all__ = ["how_to_install", "needed"]


def how_to_install(extra: str) -> str:
    """Return the command that brings an extra, of an installed package and in a checkout."""
    return f"pip install 'nversion[{extra}]', or in a checkout: pip install '.[{extra}]'"


def needed(package: str, extra: str, what: str) -> ModuleType:
    """Return a package that an extra brings.

    Args:
        package: its name, as it is imported.
        extra: that brings it.
        what: needs it, to begin the message with.

    Raises:
        MissingExtraError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs the package {package} ({error}); {how_to_install(extra)}"
        ) from error
