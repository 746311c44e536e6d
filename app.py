"""The server, from a checkout: `python app.py` is `i2v serve`, with the same flags."""

try:
    import sys

    from i2v.__main__ import run
except KeyboardInterrupt:
    raise SystemExit(130) from None

if __name__ == "__main__":
    sys.exit(run(["serve", *sys.argv[1:]]))
