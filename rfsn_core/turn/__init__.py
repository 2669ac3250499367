"""One turn, from the player's words to the stored outcome, and the parts that it uses."""
