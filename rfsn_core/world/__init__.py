"""The NPC folder, and how an NPC decides: signals, state, candidates, rules, scores."""
