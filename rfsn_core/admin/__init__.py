"""Work on stored memory outside of turns: show, change, erase, back up, roll back, archive."""
