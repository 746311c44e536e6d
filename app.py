"""The command line, from a checkout: `python app.py generate photo.jpg --prompt ...`."""

import sys

from i2v.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
