"""Estimates of what another policy would have earned, from the decision log."""
