"""Check the numbers of README and docs: ``python tools/check_numbers.py [--write]``.

1. What `tools/page_numbers` derives from committed results stands on its page, to the digit.
2. Every other number that looks measured (a decimal or a percentage in running text or a table, outside code and
   formulas) is one that the page's own executed code prints, or stands in `tools/page_numbers/elsewhere.toml`, by page
   and section, with the command that measures it, or with what it is where nobody measured it.

A number that is changed on a page, in the results, or anew on a page, is told with its place, and the exit code is 1.
``--write`` takes the numbers of the pages into `elsewhere.toml`; new sections want their ``by`` there.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import pkgutil
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "paper_figures")]

from tools import page_numbers  # noqa: E402 - the scripts of these folders import one another by name
from tools.page_numbers import CLAIMS  # noqa: E402
from tools.run_pages import blocks  # noqa: E402

ELSEWHERE = Path(__file__).resolve().parent / "page_numbers" / "elsewhere.toml"
NAMES = r"(?:SqueezeNet|[Ss]ections?|Python|Tables?|Fig\.|eq\.|mobilenet_v2_)\s*"
"""Before a number that is part of a name."""
LEVELS = {"1 %", "5 %", "10 %", "80 %", "90 %", "95 %", "99 %"}
"""Of tests and intervals."""
NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)?\.\d+(?:e[-+]?\d+)?(?![\w]*\.\w)|(?<![\w.])\d+(?:,\d{3})* ?%"
)
Where = tuple[str, str]


def read_claims() -> None:
    """Load every module of `page_numbers`, which lists what it states."""
    for module in pkgutil.iter_modules(page_numbers.__path__):
        importlib.import_module(f"tools.page_numbers.{module.name}")


def pages() -> dict[str, str]:
    """Every page by its place, with what is generated or written by nobody left out."""
    files = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files if "_build" not in file.parts}


def bare(text: str) -> str:
    """The page with code, formulas, links' addresses and comments blanked, each place where it was."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0])

    for pattern in (
        r"^(```+|:::+).*?^\1[ \t]*$",
        r"^    .*$",
        r"<!--.*?-->",
        r"`[^`\n]*`",
        r"\$[^$]*\$",
        r"\]\([^)]*\)",
        rf"{NAMES}\d+(?:\.\d+)*(?:(?:,| and| to) \d+\.\d+)*",
    ):
        text = re.sub(pattern, blank, text, flags=re.MULTILINE | re.DOTALL if "```" in pattern or "!--" in pattern else re.MULTILINE)
    return text


def places(text: str, page: str) -> list[tuple[int, int]]:
    """Where a text stands on a page, however its lines are broken; `*` emphasis of a page is looked through."""
    pattern = r"\s+".join(map(re.escape, text.split()))
    return [found.span() for found in re.finditer(pattern, page)]


def sections(text: str) -> Iterator[tuple[int, str]]:
    """Where each section begins, and its title."""
    yield 0, ""
    for found in re.finditer(r"^#+ (.*)$", text, re.MULTILINE):
        yield found.start(), found[1]


def check_claims(texts: dict[str, str]) -> tuple[list[str], dict[str, list[tuple[int, int]]]]:
    """What the results say and the pages do not, and which parts of the pages are covered."""
    wrong, covered = [], defaultdict(list)
    for claim in CLAIMS:
        page = texts[claim.page]
        if claim.command not in page:
            wrong.append(f"{claim.page}: does not name the command that measures it, {claim.command}")
        for text in claim.texts():
            found = places(text, page)
            if not found:
                lines = page.splitlines() if text.startswith("|") else re.sub(r"(?<!\n)\n(?!\n)", " ", page).splitlines()
                near = difflib.get_close_matches(text, lines, 1, 0.3)
                wrong.append(f"{claim.page}: is not there: {text}\n    nearest: {near[0][:300] if near else '-'}")
            covered[claim.page] += found
    return wrong, covered


def executed(text: str) -> set[str]:
    """Numbers in what the page's own code prints; a share also as a percentage."""
    printed = set()
    for language, code, _ in blocks(text):
        prompts = (">>>", "...") if language == "python" else ("$ ",)
        for line in code.splitlines():
            if not line.startswith(prompts):
                printed |= set(re.findall(r"\d*\.?\d+", line))
    return printed


def left_over(text: str, covered: list[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """The section and the text of each number that no claim covers and no code prints."""
    plain, printed = bare(text), executed(text)
    starts = list(sections(text))
    for found in NUMBER.finditer(plain):
        number = found[0]
        size = number.lstrip("-+−").replace(",", "")
        if any(a <= found.start() and found.end() <= b for a, b in covered) or number in LEVELS:
            continue
        if size in printed or size.rstrip(" %") in printed or f"0{size}" in printed:
            continue
        yield [title for start, title in starts if start <= found.start()][-1], number


def check_left_over(texts: dict[str, str], covered: dict[str, list[tuple[int, int]]]) -> dict[Where, str]:
    """What is left over of all pages, by page and section."""
    found: dict[Where, list[str]] = defaultdict(list)
    for page, text in texts.items():
        for section, number in left_over(text, covered.get(page, [])):
            found[page, section].append(number)
    return {where: "; ".join(numbers) for where, numbers in found.items()}


def listed() -> dict[Where, tuple[str, str]]:
    """`elsewhere.toml`: by page and section the numbers, and who measures them."""
    if not ELSEWHERE.is_file():
        return {}
    entries = tomllib.loads(ELSEWHERE.read_text(encoding="utf-8"))["numbers"]
    return {(one["page"], one["section"]): (one["values"], one["by"]) for one in entries}


def write(found: dict[Where, str]) -> None:
    """`elsewhere.toml` anew, with the sources that were known."""
    known = listed()
    lines = ["# Numbers that no committed result holds: which command measures them, or what they are.", ""]
    for (page, section), values in sorted(found.items()):
        by = known.get((page, section), ("", ""))[1]
        fields = {"page": page, "section": section, "by": by, "values": values}
        texts = (value.replace("\\", "\\\\").replace('"', '\\"') for value in fields.values())
        lines += ["[[numbers]]", *(f'{name} = "{text}"' for name, text in zip(fields, texts, strict=True)), ""]
    ELSEWHERE.write_text("\n".join(lines), encoding="utf-8")


def faults(*, rewrite: bool = False) -> list[str]:
    """Everything that is wrong, a text each."""
    read_claims()
    texts = pages()
    wrong, covered = check_claims(texts)
    found = check_left_over(texts, covered)
    if rewrite:
        write(found)
    known = listed()
    for where in sorted(found.keys() | known.keys()):
        now, (values, by) = found.get(where, ""), known.get(where, ("", "-"))
        place = f"{where[0]}, {where[1]!r}"
        if now != values:
            wrong.append(
                f"{place}: numbers that no result holds are not those listed in {ELSEWHERE.name}\n"
                f"    page:   {now}\n    listed: {values}"
            )
        elif not by:
            wrong.append(f"{place}: {ELSEWHERE.name} does not say who measures {now}")
    return wrong


def main() -> int:
    """Check, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="take what is left over into elsewhere.toml")
    wrong = faults(rewrite=parser.parse_args().write)
    stated = sum(1 for claim in CLAIMS for _ in claim.texts())
    print("\n".join([*wrong, f"numbers: {stated} statements of {len({one.page for one in CLAIMS})} pages derived "
                            f"from results, {len(wrong)} faults"]))  # fmt: skip
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
