"""Numbers on the pages are those of the committed results, of the pages' own code, or listed with who measures them."""

from __future__ import annotations

import pytest

from tools import check_numbers


@pytest.fixture(scope="module")
def pages():
    return check_numbers.pages()


def test_every_number_is_accounted_for(pages):
    wrong = check_numbers.faults(pages)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("page", "old", "new", "told"),
    [
        ("docs/studies/checks.md", ".046 ± .002", ".047 ± .002", "is not there: | digits network | blocks | .046"),
        ("docs/studies/checks.md", "benchmarks/study_checks.py", "the study", "does not name the command"),
        ("docs/theory.md", "has 29 % of its cells", "has 28 % of its cells", "listed: 29 %"),
        ("docs/faq.md", "# Questions\n", "# Questions\n\nIt is 1.37 times as fast.\n", "page:   1.37"),
        ("docs/how_many_queries.md", "(0.11, 0.87)", "(0.12, 0.87)", "numbers that no result holds"),
    ],
)  # fmt: skip
def test_a_changed_number_is_told(pages, page, old, new, told):
    """In a table, in running text, a new one, one that the page's code prints; a command that is not named any more."""
    assert old in pages[page]
    wrong = check_numbers.faults({page: pages[page].replace(old, new)})
    assert any(told in text for text in wrong), wrong
