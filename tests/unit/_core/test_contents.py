"""What a value is made of: everything that changes what it does changes the digest, and what is not seen is said."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legstat._core.contents import Contents, contents


def module_of(text: str, name: str = "theirs") -> types.ModuleType:
    """A module of the user's, made of a text."""
    made = sys.modules[name] = types.ModuleType(name)
    try:
        exec(compile(text, f"<{name}>", "exec"), vars(made))
    finally:
        del sys.modules[name]
    return made


def f_of(text: str) -> Contents:
    """What the function or object `f` of a module is made of."""
    return contents(module_of(text).f)


CHANGED = {
    "a global number": ("SCALE = {}\ndef f(x): return SCALE * x", 1.0, 2.0),
    "a global list": ("SCALE = [{}]\ndef f(x): return SCALE[0] * x", 1.0, 2.0),
    "a global dictionary": ("SCALE = dict(a={})\ndef f(x): return SCALE['a'] * x", 1.0, 2.0),
    "a global in an inner function": ("SCALE = {}\ndef f(x):\n  def g(y): return SCALE * y\n  return g(x)", 1.0, 2.0),
    "a global in a comprehension": ("SCALE = {}\ndef f(x): return [SCALE * y for y in x]", 1.0, 2.0),
    "a global in a lambda": ("SCALE = {}\nf = lambda x: (lambda y: SCALE * y)(x)", 1.0, 2.0),
    "a function that is called": ("def g(x): return {} * x\ndef f(x): return g(x)", 1.0, 2.0),
    "a function two calls away": ("S = {}\ndef h(x): return S * x\ndef g(x): return h(x)\ndef f(x): return g(x)", 1, 2),
    "functions that call each other": (
        "def f(x): return g(x - 1) if x else 0\ndef g(x): return f(x - {}) if x else 1",
        1,
        2,
    ),
    "an attribute of the function": ("def f(x): return f.scale * x\nf.scale = {}", 1.0, 2.0),
    "a default": ("def f(x, scale={}): return scale * x", 1.0, 2.0),
    "a keyword's default": ("def f(x, *, scale={}): return scale * x", 1.0, 2.0),
    "a closure": ("def made(s):\n  def f(x): return s * x\n  return f\nf = made({})", 1.0, 2.0),
    "a method of the class": ("class F:\n  def __call__(self, x): return {} * x\nf = F()", 1.0, 2.0),
    "another method": (
        "class F:\n  def g(self): return {}\n  def __call__(self, x): return self.g() * x\nf = F()",
        1,
        2,
    ),
    "a base's method": (
        "class B:\n  def g(self): return {}\nclass F(B):\n  def __call__(self, x): return self.g()\nf = F()",
        1,
        2,
    ),
    "a class attribute": ("class F:\n  scale = {}\n  def __call__(self, x): return self.scale * x\nf = F()", 1.0, 2.0),
    "a property": (
        "class F:\n  @property\n  def s(self): return {}\n  def __call__(self, x): return self.s\nf = F()",
        1,
        2,
    ),
    "a static method": (
        "class F:\n  @staticmethod\n  def s(): return {}\n  def __call__(self, x): return self.s()\nf = F()",
        1,
        2,
    ),
    "a slot": (
        "class F:\n  __slots__ = ('s',)\n  def __init__(self, s): self.s = s\n  def __call__(self, x): return self.s\n"
        "f = F({})",
        1.0,
        2.0,
    ),
    "a private slot": (
        "class F:\n  __slots__ = '__s'\n  def __init__(self, s): self.__s = s\n"
        "  def __call__(self, x): return self.__s\nf = F({})",
        1.0,
        2.0,
    ),
    "a dict subclass's method": ("class F(dict):\n  def __call__(self, x): return {} * x\nf = F()", 1.0, 2.0),
    "a dict subclass's attribute": (
        "class F(dict):\n  def __call__(self, x): return self.s * x\nf = F(a=1)\nf.s = {}",
        1.0,
        2.0,
    ),
    "a dict subclass's items": ("class F(dict):\n  def __call__(self, x): return self['a']\nf = F(a={})", 1.0, 2.0),
    "a number with a method": ("class F(float):\n  def __call__(self, x): return self * x\nf = F({})", 1.0, 2.0),
    "an array with a method": (
        "import numpy as np\nclass F(np.ndarray):\n  def __call__(self, x): return self[0] * x\n"
        "f = np.array([{}]).view(F)",
        1.0,
        2.0,
    ),
    "a partial": ("import functools\ndef g(s, x): return s * x\nf = functools.partial(g, {})", 1.0, 2.0),
    "a cached function": ("import functools\n@functools.lru_cache\ndef f(x): return {} * x", 1.0, 2.0),
    "a wrapped function": (
        "import functools\ndef deco(g):\n  @functools.wraps(g)\n  def w(x): return {} * g(x)\n  return w\n"
        "@deco\ndef f(x): return x",
        1.0,
        2.0,
    ),
    "a generator's state": ("import numpy as np\nr = np.random.default_rng({})\ndef f(x): return r.normal()", 1, 2),
    "a pattern": ("import re\np = re.compile('{}')\ndef f(x): return p.match(x)", "a", "b"),
    "an array of objects": ("import numpy as np\na = np.array([{}, None])\ndef f(x): return a[0]", 1, 2),
    "a masked array": ("import numpy as np\na = np.ma.array([1., 2.], mask=[0, {}])\ndef f(x): return a.sum()", 0, 1),
    "a data class": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass F:\n  s: float\n"
        "  def __call__(self, x): return self.s * x\nf = F({})",
        1.0,
        2.0,
    ),
    "a data class's default": (
        "from dataclasses import dataclass\n@dataclass\nclass F:\n  s: float = {}\n"
        "  def __call__(self, x): return self.s * x\nf = F()",
        1.0,
        2.0,
    ),
    "an enumeration": (
        "import enum\nclass E(enum.Enum):\n  A = {}\nk = E.A\ndef f(x): return k.value * x",
        1,
        2,
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_what_a_function_does_is_in_its_digest(what: str) -> None:
    text, one, other = CHANGED[what]
    first, again, changed = (f_of(text.replace("{}", str(value))) for value in (one, one, other))
    assert first.gaps == ()
    assert first == again
    assert changed.gaps == ()
    assert changed.sha256 != first.sha256


def test_of_a_module_of_the_user_s_what_is_read_of_it_counts() -> None:
    def using(scale: float, other: int) -> Contents:
        helpers = module_of(f"scale = {scale}\nother = {other}\ndef g(x): return scale * x", "helpers")
        here = module_of("def f(x): return helpers.g(x)")
        here.helpers = helpers
        return contents(here.f)

    assert using(1.0, 1).gaps == ()
    assert using(1.0, 1) == using(1.0, 2)
    assert using(1.0, 1).sha256 != using(2.0, 1).sha256


class Opaque:
    """An object that refers to something that says not what it holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, x: float) -> float:
        return x


def forward() -> Callable[[float], float]:
    def f(x: float) -> float:
        return g(x)

    try:
        return f
    finally:
        if f is None:

            def g(x: float) -> float:
                return x


UNSEEN = {
    r"f\.lock: _thread\.(RLock|lock)": Opaque(),
    r"f: g, which is not defined yet": forward(),
    r"f: nowhere, which is not defined yet": module_of("def f(x): return nowhere(x)").f,
    r"f: the module tests_helpers_of_mine, which is imported inside": module_of(
        "def f(x):\n  import tests_helpers_of_mine\n  return tests_helpers_of_mine.g(x)"
    ).f,
    r"f: numpy\.ufunc": np.frompyfunc(abs, 1, 1),
    r"f: what _queue\.SimpleQueue keeps": module_of(
        "import queue\nclass F(queue.SimpleQueue):\n  def __call__(self, x): return x\nf = F()"
    ).f,
}


@pytest.mark.parametrize("gap", UNSEEN)
def test_what_is_not_seen_is_said(gap: str) -> None:
    found = contents(UNSEEN[gap], name="f")
    assert len(found.gaps) == 1
    assert re.match(gap, found.gaps[0]), found.gaps


def test_installed_packages_count_by_name_and_are_told() -> None:
    found = contents(lambda x: np.linalg.norm(functools.reduce(max, x)))
    assert found.complete
    assert found.packages == ("numpy",)
    assert found.versions == {"numpy": np.__version__}


def test_circles_and_long_chains_end() -> None:
    links: list[object] = []
    for _ in range(5000):  # far deeper than Python's own stack
        link = types.SimpleNamespace(after=links[-1] if links else None)
        links.append(link)
    links[0].after = links[-1]
    found = contents(links[-1])
    assert found.complete
    links[0].extra = 1
    assert contents(links[-1]).sha256 != found.sha256
    nested: list[object] = []
    nested.append(nested)
    assert contents(nested).gaps


def test_data_keeps_the_digests_of_stored_fingerprints() -> None:
    # written by the code that wrote the fixtures of tests/golden/v1
    value = ("network", 1, 2.5, True, None, b"x", 1j, [1, (2,)], {"b": {3, 1}, "a": np.arange(6.0).reshape(2, 3)})
    assert contents(*value, np.float64(2), np.int64(3)).sha256 == STORED


STORED = "03a136b6914a796c372db1a7a3b96b2a91032ed28f20ecccc844431a64a0ee34"


def test_digests_of_functions_are_the_same_in_another_process(tmp_path: Path) -> None:
    text = (
        "import functools, enum, numpy as np\nclass E(enum.Enum):\n  A = 1\nSETS = {E.A, 'b', ('c', 1), 2.0}\n"
        "class F:\n  __slots__ = ('a',)\n  def __init__(self): self.a = SETS\n"
        "  def __call__(self, x): return np.linalg.norm(x) * len(self.a)\nf = functools.partial(F())\n"
    )
    (tmp_path / "theirs.py").write_text(text)
    code = "import theirs; from legstat._core.contents import contents; c = contents(theirs.f); print(c.sha256, c.gaps)"
    seen = set()
    for seed in ("1", "2", "3"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        seen.add(run.stdout)
    assert len(seen) == 1
    assert "()" in seen.pop()
