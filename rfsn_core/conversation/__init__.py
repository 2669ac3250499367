"""Conversations: the state and turns of one NPC with one player in one save, and the turns that wait for the store."""
