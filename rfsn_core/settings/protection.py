"""What keeps others out: which addresses are of this machine, and that no reload takes the key away."""

from __future__ import annotations

import ipaddress

from rfsn_core.contract.errors import ConfigError
from rfsn_core.settings.schema import Settings
from rfsn_core.settings.source import Source


def is_local(host: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    if host.lower() in ("localhost", ""):
        return host != ""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_reload(old: Settings, old_source: Source, new: Settings, new_source: Source) -> None:
    """Raise ConfigError for a reload that would lose the key or all settings at once.

    A file that was emptied or deleted is far more often an accident (a full disk, an editor, a checkout) than a wish
    for the defaults. Who wants them, or no key, restarts the server.
    """
    if not old_source.is_empty and new_source.is_empty:
        file = new_source.path or old_source.path
        problem = "holds no settings any more" if new_source.path else "does not exist any more"
        raise ConfigError([f"{file}: {problem}; the settings from before stay. Restart the server to use the defaults"])
    if old.server.key and not new.server.key:
        where = new_source.where(["server", "key"])
        raise ConfigError([f"{where}: is not set any more; the key from before stays. Restart the server without it"])
