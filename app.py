"""The server, from a checkout: `python app.py` is `i2v serve`, with the same flags."""

import sys

from i2v.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
