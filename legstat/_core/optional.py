"""Packages that need not be there."""

from __future__ import annotations

import importlib
from types import ModuleType

from legstat._core.errors import BackendUnavailableError


def optional_module(name: str, package: str, extra: str, purpose: str) -> ModuleType:
    """A module of an optional package.

    Parameters
    ----------
    name : str
        Of the module.
    package, extra : str
        What to install: the package, and the extra of legstat that brings it.
    purpose : str
        What needs it, as a beginning of a sentence.

    Returns
    -------
    module
        Imported.

    Raises
    ------
    BackendUnavailableError
        Where the package is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendUnavailableError(package, extra, purpose) from error
