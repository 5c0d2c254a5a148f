"""One file a policy, pure: what may be sent, when, and what an outcome teaches."""
