"""``python -m nexus3`` is the command ``nexus3``."""

from nexus3.cli.main import main

if __name__ == "__main__":
    main()
