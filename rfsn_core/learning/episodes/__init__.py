"""Episodes: many turns with one NPC and a simulated player."""
