"""Exams of NPCs: suites of conversations with checks, their metrics, reports and comparisons."""
