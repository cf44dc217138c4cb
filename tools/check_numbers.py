"""Check the numbers of README and docs: ``python tools/check_numbers.py [--write]``.

1. What `tools/page_numbers` derives from committed results stands on its page, to the digit.
2. Every other number that looks measured (a decimal or a percentage in running text or a table, outside code and
   formulas) is one that the page's own executed code has or prints, or stands in `tools/page_numbers/elsewhere.toml`,
   by page and section, with the command that measures it, or with what it is where nobody measured it.

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

import tomlkit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "paper_figures")]

from tools import page_numbers  # noqa: E402 - found by the path above, as the scripts of those folders are
from tools.page_numbers import CLAIMS  # noqa: E402
from tools.run_pages import blocks  # noqa: E402

ELSEWHERE = Path(__file__).resolve().parent / "page_numbers" / "elsewhere.toml"
NAMES = r"(?:SqueezeNet|[Ss]ections?|Python|Tables?|Fig\.|eq\.|mobilenet_v2_)\s*"
"""Before a number that is part of a name."""
UNSAID = re.compile(
    r"^(?P<fence>```+|:::+).*?^(?P=fence)[ \t]*$|^ {4}[^\n]*$|<!--.*?-->|`[^`\n]*`|\$[^$]*\$|\]\([^)]*\)"
    rf"|{NAMES}\d+(?:\.\d+)*(?:(?:,| and| to) \d+\.\d+)*",
    re.MULTILINE | re.DOTALL,
)
LEVELS = {"1 %", "5 %", "10 %", "80 %", "90 %", "95 %", "99 %"}
"""Of tests and intervals."""
NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?\.\d+(?:e[-+]?\d+)?(?![\w]*\.\w)|(?<![\w.])\d+(?:,\d{3})* ?%"
)
Where = tuple[str, str]


def read_claims() -> None:
    """Load every module of `page_numbers`, which lists what it states."""
    for module in pkgutil.iter_modules(page_numbers.__path__):
        importlib.import_module(f"tools.page_numbers.{module.name}")


def pages() -> dict[str, str]:
    """Every page by its place."""
    files = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    places = {str(file.relative_to(ROOT)): file for file in files}
    return {
        place: file.read_text(encoding="utf-8") for place, file in places.items() if "/_build/" not in place
    } | figures()


def figures() -> dict[str, str]:
    """What the manifest says of each figure of the papers (docs/figures.md shows it), its expected numbers as code."""
    home = ROOT / "paper_figures"
    manifest = tomllib.loads((home / "manifest.toml").read_text(encoding="utf-8"))
    texts: dict[str, list[str]] = {figure["name"]: [figure["found"], figure["number"]] for figure in manifest["figure"]}
    for row in manifest["row"]:
        texts.setdefault(row.get("by", "not drawn"), []).append(f"{row['ours']}; {row['differs']}")
    pages = {}
    for name, told in texts.items():
        file = home / "expected" / f"{name}.json"
        expected = file.read_text(encoding="utf-8") if file.is_file() else ""
        code = "\n".join(re.findall(r": (-?[\d.]+)(?=,?$)", expected, re.MULTILINE))
        pages[f"paper_figures/manifest.toml, {name}"] = "\n\n".join(told) + f"\n\n```python\n>>> {code}\n```\n"
    return pages


def bare(text: str) -> str:
    """The page with code, formulas, links' addresses, comments and names blanked, the rest where it was."""
    return UNSAID.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def places(text: str, page: str) -> list[tuple[int, int]]:
    """Where a text stands on a page, however its lines are broken."""
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
    for claim in (claim for claim in CLAIMS if claim.page in texts):
        page = texts[claim.page]
        if claim.command not in page:
            wrong.append(f"{claim.page}: does not name the command that measures it, {claim.command}")
        for text in claim.texts():
            found = places(text, page)
            if not found:
                lines = (
                    page.splitlines() if text.startswith("|") else re.sub(r"(?<!\n)\n(?!\n)", " ", page).splitlines()
                )
                near = difflib.get_close_matches(text, lines, 1, 0.3)
                wrong.append(f"{claim.page}: is not there: {text}\n    nearest: {near[0][:300] if near else '-'}")
            covered[claim.page] += found
    return wrong, covered


def executed(text: str) -> list[float]:
    """Numbers in what the page's own code is and prints."""
    return [abs(float(number)) for _, code, _ in blocks(text) for number in re.findall(r"\d+\.?\d*|\.\d+", code)]


def printed(number: str, run: list[float]) -> bool:
    """Whether one of the numbers that were run rounds to this one, or to a hundredth of a percentage."""
    size = number.lstrip("-+").replace(",", "").rstrip(" %")
    unit = 10.0 ** -len(size.partition(".")[2])
    scales = (1.0, 100.0) if "%" in number else (1.0,)
    return any(abs(scale * one - float(size)) <= 0.5000001 * unit for one in run for scale in scales)


def left_over(text: str, covered: list[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """The section and the text of each number that no claim covers and no code of the page has."""
    plain, run, starts = bare(text), executed(text), list(sections(text))
    for found in NUMBER.finditer(plain):
        number = found[0]
        inside = any(a <= found.start() and found.end() <= b for a, b in covered)
        if not (inside or number in LEVELS or printed(number, run)):
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
    known, document, entries = listed(), tomlkit.document(), tomlkit.aot()
    document.add(tomlkit.comment("Numbers that no committed result holds: who measures them, or what they are."))
    for (page, section), values in sorted(found.items()):
        by = known.get((page, section), ("", ""))[1]
        entries.append(tomlkit.item({"page": page, "section": section, "by": by, "values": values}))
    document["numbers"] = entries
    ELSEWHERE.write_text(tomlkit.dumps(document), encoding="utf-8")


def faults(texts: dict[str, str] | None = None, *, rewrite: bool = False) -> list[str]:
    """Everything that is wrong with the pages, a text each."""
    read_claims()
    texts = texts or pages()
    wrong, covered = check_claims(texts)
    found = check_left_over(texts, covered)
    if rewrite:
        write(found)
    known = {where: entry for where, entry in listed().items() if where[0] in texts}
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
    pages_of_results = {claim.page for claim in CLAIMS}
    print("\n".join([*wrong, f"numbers: those of {len(pages_of_results)} pages against results, {len(wrong)} faults"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
