"""Estimates of what another policy would have earned, from the log."""

from rfsn_core.learning.evaluation.holdout import HoldOut, read_hold_out
from rfsn_core.learning.evaluation.log import EvaluationLog, read_log
from rfsn_core.learning.evaluation.report import Estimate, EvaluationReport, SlotReport, evaluate
from rfsn_core.learning.evaluation.target_policy import Target, target, train

__all__ = [
    "Estimate",
    "EvaluationLog",
    "EvaluationReport",
    "HoldOut",
    "SlotReport",
    "Target",
    "evaluate",
    "read_hold_out",
    "read_log",
    "target",
    "train",
]
