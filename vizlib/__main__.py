"""`python -m vizlib`, and the program `vizlib`: see `vizlib.cli`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported leaves no traceback."""
    try:
        from vizlib.cli import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
