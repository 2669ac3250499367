"""The decision log, rewards, policy updates and the guard that limits them."""
