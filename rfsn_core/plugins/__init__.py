"""Discovery and checks of plugins, and the hooks that run in turns."""
