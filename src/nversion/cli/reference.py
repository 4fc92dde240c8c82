"""The reference of all commands, made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["commands", "examples", "page"]

_INTRODUCTION = """# Commands

`nversion COMMAND --help` says the same. Exit codes: 0 is done; 1 is done, and something did not
pass (a check, a requirement, a version that failed to train); 2 is wrong use or bad input; 130 is
interrupted.
"""

EXAMPLE = re.compile(r"^- `(nversion [^`]+)`$", re.MULTILINE)
"""A line of a command's help that shows how it is called."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command by the words that call it, without the program's name."""
    from typer.main import get_command

    from nversion.cli.app import app

    yield from _under(get_command(app), [])


def examples(command: Any) -> list[str]:
    """Return the lines in a command's help that show how it is called."""
    return EXAMPLE.findall(inspect.cleandoc(command.help or ""))


def page() -> str:
    """Return the page of all commands, as Markdown."""
    parts = [_INTRODUCTION.strip()]
    for name, command in commands():
        text = re.sub(r"\n{3,}", "\n\n", EXAMPLE.sub("", inspect.cleandoc(command.help or "")))
        shown = [f"## {name}", text.strip()]
        if lines := examples(command):
            shown.append("```console\n" + "\n".join(f"$ {line}" for line in lines) + "\n```")
        rows = [_row(parameter) for parameter in command.params if not _hidden(parameter)]
        if rows:
            shown.append("| option | what it is |\n| --- | --- |\n" + "\n".join(rows))
        parts.append("\n\n".join(shown))
    return "\n\n".join(parts) + "\n"


def _under(command: Any, words: list[str]) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _under(inner, [*words, name])
    else:
        yield " ".join(words), command


def _hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False)) or parameter.name == "help"


def _row(parameter: Any) -> str:
    """Return an option or an argument as a row of the table."""
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or (parameter.name or '').upper()}`"
    else:
        names = [*parameter.opts, *parameter.secondary_opts]
        value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
        name = ", ".join(f"`{one}{value}`" for one in names)
    said = " ".join((parameter.help or "").split())
    default = parameter.default
    if getattr(parameter, "show_default", False) and _shown(default):
        said += f" [default: {default}]"
    if parameter.required:
        said += " [required]"
    return f"| {name} | {_cell(said.strip())} |"


def _shown(default: Any) -> bool:
    """Whether a default is a value that says something."""
    return (
        isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("[", "\\[").replace("]", "\\]").replace("<", "&lt;")
