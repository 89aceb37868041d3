"""`python -m costopt.cli`: the same command where no script was installed."""

import sys

from costopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
