"""Builds runtimes from settings, world and plugins, and replaces them when files change."""
