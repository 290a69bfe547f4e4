"""Our YAML reader gives what DVC's gives, and refuses what would surprise or never end."""

import datetime
import math
import time
from pathlib import Path

import pytest
from dvc.utils.serialize import ParseError
from dvc.utils.serialize import parse_yaml as parse_as_dvc
from hypothesis import example, given
from hypothesis import strategies as st

from sg3x.files.yaml12 import DEEPEST, LIMIT, YamlError, parse_yaml

ROOT = Path(__file__).parents[2]


def same(a, b) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)))


@pytest.mark.parametrize(
    "path", ["dvc.yaml", "dvc.lock", "params.yaml", "benchmarks/soak.yaml", "tests/workflow/tiny.yaml", *sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / "presets").glob("*.yaml"))]
)  # fmt: skip
def test_our_files_mean_what_they_mean_to_dvc(path):
    text = (ROOT / path).read_text()
    assert same(parse_yaml(text), parse_as_dvc(text, path))


def by_both(text: str) -> None:
    """Equal values; of what DVC refuses nothing is accepted."""
    try:
        theirs = parse_as_dvc(text, "params.yaml")
    except (ParseError, ValueError, OverflowError):
        with pytest.raises(YamlError):
            parse_yaml(text)
        return
    assert same(parse_yaml(text), theirs), text


@given(st.text("0123456789+-._eExXobOaAfF:~=TtrueZ", max_size=12))
@example("-_")
@example("._")
@example("2024-13-45")
@example("2001-12-14t21:59:43.10-05:00")
def test_scalars_are_those_of_dvc(scalar):
    by_both(f"a: {scalar}\n")


@pytest.mark.parametrize(
    "scalar, value",
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("1.e3", 1000.0), (".5", 0.5), ("-.5e1", "-.5e1"), ("+12", 12), ("017", 17), ("08", 8),
        ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("-0x1F", -31), ("1_000", 1000), ("12:30", "12:30"), ("1:30:30", "1:30:30"),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("true", True), ("False", False),
        ("tRue", "tRue"), ("null", None), ("~", None), ("", None), (".inf", math.inf), ("-.Inf", -math.inf),
        (".nan", math.nan), ("'1'", "1"), ("2024-01-01", datetime.date(2024, 1, 1)), ("!!str 1", "1"), ("[1, a]", [1, "a"]),
    ],
)  # fmt: skip
def test_scalars_of_yaml_1_2(scalar, value):
    assert same(parse_yaml(f"a: {scalar}"), {"a": value})
    by_both(f"a: {scalar}")


NAMES = st.from_regex("[a-z_]{1,8}|[0-9]{1,4}", fullmatch=True)
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]))
PARAMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abcdef"), PARAMS, min_size=1, max_size=4))
def test_what_dvc_writes_is_read(values):
    from dvc.utils.serialize import dumps_yaml

    text = dumps_yaml(values)
    assert same(parse_yaml(text), parse_as_dvc(text, "params.yaml"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
NESTED = {"list": "[" * 100_000, "section": "{a: " * 100_000, "dashes": "- " * 100_000, "keys": "? " * 100_000}


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' is there twice, first in line 1"),
        ("s:\n  '1': 0\n  '1': 1\n", "line 3: key '1' is there twice, first in line 2"),
        ("0x1: a\n1: b\n", "line 2: key 1 is there twice"),
        (BOMB, f"its aliases (*name) stand for more than {LIMIT:,} values"),
        ("a: &a [*a]\n", "line 1: an alias stands for a value that it is part of"),
        ("a: &a {b: {c: *a}}\n", "is part of"),
        ("a: &a {b: 1}\nc: {<<: *a}\n", "line 2: '<<' takes over"),
        *((text, f"nested more than {DEEPEST} deep") for text in NESTED.values()),
        ("[a]: 1\n", "line 1: a key must be a word or a number"),
        ("a: !!python/object/apply:os.system [touch pwned]\n", "could not determine a constructor"),
        ("a: !!binary aGk=\nb: !mine 1\n", "could not determine a constructor"),
        ("%YAML 1.1\n---\na: yes\n", "line 1: the version is always 1.2: remove this line"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("a: [\n", "line 2, column 1"),
        ("a: 2024-02-31\n", "day is out of range"),
        (b"# caf\xe9\na: 1\n", "line 1: byte 0xe9 is not UTF-8"),
        ("a: " + "9" * 5000, "is no number"),
        ("x" * (5 << 20), "characters; at most"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_at_once_and_by_line(text, message):
    started = time.monotonic()
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert message in str(caught.value)
    assert time.monotonic() - started < 2


def test_a_few_aliases_are_read():
    assert parse_yaml("a: &s [0, 1]\nb: *s\n") == {"a": [0, 1], "b": [0, 1]}


def test_an_empty_file_is_nothing():
    assert parse_yaml("") is None and parse_yaml("# only words\n") is None
