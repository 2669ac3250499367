"""The log of turns, decisions and rewards; policy updates and the guard that limits them."""
