"""`python -m whoplays`, and the command `whoplays`."""

import sys

from .runtime.interrupts import terminated_as_interrupted


def main() -> None:
    """Run the command of this process, and end it with the exit status; Ctrl-C stops it while it loads, too."""
    try:
        with terminated_as_interrupted():
            from .cli import main as run
    except KeyboardInterrupt:
        print("whoplays: stopped", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
