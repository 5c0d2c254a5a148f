"""Whether it keeps running: children, restarts, the block. Knows nothing of providers; imports only ``errors``."""
