"""The command line: one file per command, thin; what a command does is in the library.

Exit codes: 0 done; 1 done, and something did not pass (a check, a version that failed to train);
2 wrong use or bad input; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from nversion.errors import NVersionError, in_words

__all__ = ["main"]

WRONG, INTERRUPTED = 2, 130


def main() -> None:
    """Run the command line, and turn nversion's own errors into one line and exit code 2."""
    import typer

    from nversion.cli.app import app

    # Every wrong use that Typer notices; the class itself is not exported.
    wrong_use: Any = typer.BadParameter.__base__
    try:
        code = app(prog_name="nversion", standalone_mode=False)
    except NVersionError as error:
        _fail(str(error))
    except wrong_use as error:
        _say_what_is_wrong(error)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        # A file or folder that cannot be read or written.
        _fail(in_words(error))
    except typer.Abort:
        code = INTERRUPTED
    if code == INTERRUPTED:
        # Typer ends with this code, and without a word, when it is interrupted.
        sys.stderr.write("interrupted; run the same command again to go on where it stopped\n")
    sys.exit(code if isinstance(code, int) else 0)


def _say_what_is_wrong(error: Any) -> NoReturn:
    """Say in one line what is wrong with the command, and where to look; exit code 2."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(WRONG)
    path = error.ctx.command_path if error.ctx else "nversion"
    message = " ".join(error.format_message().split()).removesuffix(".")
    _fail(f"{message}; see {path} --help")


def _fail(message: str) -> NoReturn:
    from nversion.reading import printable

    sys.stderr.write(f"error: {printable(message)}\n")
    sys.exit(WRONG)
