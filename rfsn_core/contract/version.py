"""The version of the kernel."""

from __future__ import annotations


def version() -> str:
    """Return the kernel's version."""
    from importlib import metadata

    try:
        return metadata.version("rfsn-core")
    except metadata.PackageNotFoundError:
        return "0.1.0"
