"""``nexus3 demo``: the acts, what they check, and how they are shown."""
