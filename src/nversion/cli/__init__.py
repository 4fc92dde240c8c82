"""The command line: one file per command, thin; what a command does is in the library.

Exit codes: 0 done; 1 done, and something did not pass (a check, a version that failed to train);
2 wrong use or bad input; 130 interrupted.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line, and turn nversion's own errors into one line and exit code 2."""
    from nversion.cli.app import app
    from nversion.errors import NVersionError
    from nversion.reading import printable

    try:
        app(prog_name="nversion")
    except NVersionError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        # A file or folder that cannot be read or written: the system's words name it.
        sys.stderr.write(f"error: {printable(str(error))}\n")
        sys.exit(2)
    except SystemExit as end:
        # Typer ends with this code, and without a word, when it is interrupted.
        if end.code == INTERRUPTED:
            sys.stderr.write("interrupted; run the same command again to go on where it stopped\n")
        raise
