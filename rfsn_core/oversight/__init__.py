"""What people see and decide of the gate: tiers, approval, review, patterns, and what is said after a stop."""
