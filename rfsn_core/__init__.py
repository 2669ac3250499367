"""RFSN: a mind and a voice for game NPCs. The public names; everything else may change."""

from rfsn_core.contract.actions import Action, SafetyRule
from rfsn_core.contract.errors import EngineError, PluginError, RfsnError, UserError
from rfsn_core.contract.hooks import hookimpl
from rfsn_core.contract.provider import Host, NoSettings, Provider

__all__ = [
    "Action",
    "EngineError",
    "Host",
    "NoSettings",
    "PluginError",
    "Provider",
    "RfsnError",
    "SafetyRule",
    "UserError",
    "hookimpl",
]
