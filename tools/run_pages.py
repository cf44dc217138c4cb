"""Pages of the documentation as a reader works through them: every block in its order, what is printed compared.

``python`` blocks with prompts are one session; the commands of ``console`` blocks (after ``$ ``) run in bash; both in
the folder that is the current one. Other blocks are shown and not run.

    python -m tools.run_pages docs/tutorials/statistician.md

works through a page in a folder of its own, says what differs, and puts the pictures that the page's code saved, and
that it shows from ``_static``, there.
"""

from __future__ import annotations

import argparse
import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = r"[-+]?(?:\d+\.\d*|\.\d+)(?:e[-+]?\d+)?"
STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"


class Printed(doctest.OutputChecker):
    """What is printed against what the page shows: word by word, decimal numbers within one of the last digit shown.

    Processors round differently, and what was rounded for print may then differ there.
    """

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether they agree; ``...`` stands for anything."""
        return super().check_output(want, got, optionflags) or self._within_a_digit(want, got)

    @staticmethod
    def _within_a_digit(want: str, got: str) -> bool:
        pieces = re.split(f"({NUMBER})", want.replace("<BLANKLINE>", "").strip())  # text, number, text, ...
        texts = [re.sub(r"(?:\\\s|\s)+", r"\\s+", re.escape(text)).replace(r"\.\.\.", ".*?") for text in pieces[::2]]
        pattern = "".join(text + f"({NUMBER})" for text in texts[:-1]) + texts[-1]
        found = re.fullmatch(pattern, got.strip(), re.DOTALL)
        if found is None:
            return False
        shown, printed = [Decimal(text) for text in pieces[1::2]], [Decimal(text) for text in found.groups()]
        units = [Decimal(1).scaleb(int(number.as_tuple().exponent)) for number in shown]
        return all(abs(a - b) <= unit for a, b, unit in zip(shown, printed, units, strict=True))


def blocks(text: str) -> Iterator[tuple[str, str, int]]:
    """What is run of a page: language, text and line of each block."""
    for found in BLOCK.finditer(text):
        language, code = found.groups()
        if (language == "python" and ">>>" in code) or language == "console":
            yield language, code, text[: found.start()].count("\n") + 1


def commands(code: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, and what each prints; a command goes on after a backslash, or to its EOT."""
    lines = code.splitlines(keepends=True)
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), f"no command: {line}"
        command, end = line[2:], "<<'EOT'" in line
        while command.endswith("\\\n") or (end and not command.endswith("\nEOT\n")):
            command += lines.pop(0)
        printed = ""
        while lines and not lines[0].startswith("$ "):
            printed += lines.pop(0)
        yield command, printed


def work_through(page: Path) -> list[str]:
    """Run a page in the current folder; one text for each thing that is not as the page says."""
    wrong: list[str] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(Printed(), optionflags=FLAGS, verbose=False)
    runs = 0
    for language, code, line in blocks(page.read_text(encoding="utf-8")):
        runs += 1
        if language == "python":
            test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)
            test.globs = names  # what a block defines is there for the next
            runner.run(test, out=wrong.append, clear_globs=False)
        else:
            wrong += [text for command, printed in commands(code) if (text := _shell(command, printed, line))]
    assert runs, f"nothing to run in {page}"
    return wrong


def _shell(command: str, want: str, line: int) -> str:
    """What is wrong with a command: nothing, or its exit code, or what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    if done.returncode == 0 and Printed().check_output(want, done.stdout, FLAGS):
        return ""
    return f"line {line}: $ {command}shown:\n{want}printed (exit code {done.returncode}):\n{done.stdout}\n"


def main() -> int:
    """Work through a page, and keep the pictures that it shows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page.resolve()
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        wrong = work_through(page)
        os.chdir(home)
        for name in re.findall(r"\]\(\S*_static/(\S+\.png)\)", page.read_text(encoding="utf-8")):
            if (Path(folder) / name).exists():
                shutil.copy(Path(folder) / name, STATIC / name)
    print("\n".join(wrong) or "as the page says")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
