"""`python -m i2v` is `i2v`."""

import sys

from i2v.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
