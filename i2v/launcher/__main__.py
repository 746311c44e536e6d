"""`python -m i2v.launcher`: signals and streams first, as for `i2v` itself."""

from __future__ import annotations

try:
    import sys

    from i2v.core.signals import die_of_signals, end_at_once
except KeyboardInterrupt:  # between Python's own start and `end_at_once`
    raise SystemExit(130) from None


def run() -> int:
    end_at_once()
    from i2v.cli.streams import open_streams

    open_streams()
    try:
        from i2v.launcher.main import main
    except Exception as error:  # a package that the launcher itself needs
        from i2v.cli.failures import failure_sentence

        print(f"i2v: {failure_sentence(error)}", file=sys.stderr)
        return 1
    try:
        return main()
    finally:
        die_of_signals()


if __name__ == "__main__":
    sys.exit(run())
