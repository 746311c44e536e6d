"""`i2v` and `python -m i2v`: signals and streams first, then the command line.

Loading the command line takes a quarter of a second, in which Ctrl-C would be a traceback.
"""

from __future__ import annotations

try:
    import sys
    from collections.abc import Sequence

    from i2v.core.signals import die_of_signals, end_at_once
except KeyboardInterrupt:  # between Python's own start and `end_at_once`
    raise SystemExit(130) from None


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command as a process of its own, and return its exit code."""
    end_at_once()
    from i2v.cli.streams import open_streams

    open_streams()
    try:
        from i2v.cli.main import main
    except Exception as error:  # a package that the command line itself needs
        from i2v.cli.failures import failure_sentence

        print(f"i2v: {failure_sentence(error)}", file=sys.stderr)
        return 1
    try:
        return main(argv)
    finally:
        die_of_signals()


if __name__ == "__main__":
    sys.exit(run())
