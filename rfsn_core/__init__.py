"""RFSN: a mind and a voice for game NPCs. The public names; everything else may change."""

from rfsn_core.errors import EngineError, PluginError, RfsnError, UserError
from rfsn_core.hookspecs import hookimpl
from rfsn_core.providers import Host, NoSettings, Provider

__all__ = ["EngineError", "Host", "NoSettings", "PluginError", "Provider", "RfsnError", "UserError", "hookimpl"]
