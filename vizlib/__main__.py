"""`python -m vizlib`: see `vizlib.cli`."""

from vizlib.cli import app

if __name__ == "__main__":
    app(prog_name="python -m vizlib")
