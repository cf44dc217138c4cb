"""The command line as the pages show it: every command has an example, and every example is one that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from legstat.cli import app
from tools.run_pages import blocks, commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE = ROOT / "docs" / "command_line.md"


REACHED: list[tuple[str, ...]] = []
"""What calls came to."""


def known(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, as the words that call it; called here, it does nothing but say so."""
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from known(inner, (*path, name))
    else:
        command.callback = lambda **_: REACHED.append(path)
        yield path


WHOLE = typer.main.get_command(app)  # commands made anew from the functions of the app, which stay as they are
COMMANDS = sorted(known(WHOLE))


def shown(page: Path) -> list[str]:
    """The calls of `legstat` in blocks of a page, lines that go on put together."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"^```(?:shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    indented = re.findall(r"^ {4}(legstat [a-z].*)$", text, re.MULTILINE)
    return [*re.findall(r"^(?:\$ )?(legstat [^|\n]*)", fenced, re.MULTILINE), *indented]


def parsed(call: str) -> tuple[str, ...]:
    """The command that a call reaches; an error if it lacks an argument or has an option that is none."""
    WHOLE.main(shlex.split(call, comments=True)[1:], standalone_mode=False)
    return REACHED.pop()


CALLS = [(page, call) for page in PAGES for call in shown(page)]


@pytest.mark.parametrize(("page", "call"), CALLS, ids=lambda value: getattr(value, "stem", None))
def test_a_call_is_one_that_the_command_takes(page, call):
    parsed(call)


def test_every_command_has_its_examples():
    """On the page of the command line; and on some page one that is run, with what it prints."""
    assert {parsed(call) for call in shown(PAGE)} == set(COMMANDS)
    run = "\n".join(
        line
        for page in PAGES
        for language, code, _ in blocks(page.read_text(encoding="utf-8"))
        if language == "console"
        for line, _ in commands(code)
    ).replace("\\\n", " ")
    assert {parsed(call) for call in re.findall(r"^(legstat [^|\n]*)", run, re.MULTILINE)} >= set(COMMANDS)


def test_the_table_names_every_command():
    table = PAGE.read_text(encoding="utf-8").split("## What all have in common")[0]
    named = {tuple(words.split()) for words in re.findall(r"`legstat ([a-z ]+)`", table)}
    assert named == {*COMMANDS, ("audit",)}


def test_a_wrong_call_is_found():
    for call in ("legstat explain a.png", "legstat demo --colour red", "legstat audits", "legstat verify"):
        with pytest.raises(Exception, match=r"Missing|No such"):
            parsed(call)
