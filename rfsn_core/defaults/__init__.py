"""The built-in provider of each stage. They use the same hooks as any plugin."""
