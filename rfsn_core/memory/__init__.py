"""What an NPC remembers and believes: extraction, beliefs, cards, summaries, retrieval."""
