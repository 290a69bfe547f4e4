"""Reading YAML: PyYAML's safe C loader with YAML 1.2's numbers and booleans, so that a file means here what it means to DVC."""

from __future__ import annotations

import re
from typing import Any

import yaml

LIMIT = 10_000  # values that aliases may stand for, all told; dvc.lock and presets have none
DEEPEST = 32  # lists and sections in each other
_LONGEST = 4 << 20  # characters of a file
_TAG = "tag:yaml.org,2002:"
_OLD = re.compile(r"^%YAML", re.MULTILINE)


class YamlError(ValueError):
    """A text is not YAML that can be read; the message names the line."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe: makes plain values only. Resolves scalars as ruamel.yaml does, DVC's reader."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  those of YAML 1.1 are not taken over


_SCALARS = {
    "bool": ("tTfF", "true|True|TRUE|false|False|FALSE"),
    "float": (
        "-+0123456789.",
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    "int": ("-+0123456789", "[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+"),
    "merge": ("<", "<<"),
    "null": ("~nN\0", "~|null|Null|NULL|"),
    "timestamp": (
        "0123456789",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}"
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?",
    ),
    "value": ("=", "="),  # refused, as DVC does
}
for _name, (_first, _pattern) in _SCALARS.items():
    _firsts = ["" if letter == "\0" else letter for letter in _first]
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _firsts)


def _int(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    digits = text.lstrip("+-").lower()
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)  # a leading 0 alone means nothing since YAML 1.2
    try:
        return int(digits[0 if base == 10 else 2 :], base) * (-1 if text.startswith("-") else 1)
    except ValueError:  # underscores alone, or more digits than Python reads
        raise YamlError(f"line {node.start_mark.line + 1}: {node.value[:40]!r} is no number: quote it") from None


def _float(loader: Any, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).replace("_", "").lower()
    try:
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise YamlError(f"line {node.start_mark.line + 1}: {node.value!r} is no number: quote it") from None


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    lines: dict[Any, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _TAG + "merge":
            raise YamlError(f"line {line}: '<<' takes over another section's keys; write them out")
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool, type(None))):
            raise YamlError(f"line {line}: a key must be a word or a number")
        if key in lines:
            raise YamlError(f"line {line}: key {key!r} is there twice, first in line {lines[key]}")
        lines[key] = line
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(_TAG + "int", _int)
_Loader.add_constructor(_TAG + "float", _float)
_Loader.add_constructor(_TAG + "map", _mapping)


def parse_yaml(text: str | bytes) -> Any:
    """Plain values of one YAML document, None for an empty one.

    Raises:
        YamlError: not UTF-8, not YAML, a key that is there twice, aliases that stand for more than `LIMIT` values, or a
            tag that asks for anything but plain values. The message names the line.
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise YamlError(f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8: save it as UTF-8") from None
    if len(text) > _LONGEST:
        raise YamlError(f"{len(text):,} characters; at most {_LONGEST:,} are read")
    if directive := _OLD.search(text):
        line = text[: directive.start()].count("\n") + 1
        raise YamlError(f"line {line}: the version is always 1.2: remove this line")
    try:
        aliases = _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if aliases:
                _check_aliases(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except YamlError:
        raise
    except yaml.YAMLError as error:
        raise YamlError(_explain(error)) from None
    except (ValueError, OverflowError) as error:  # a date that does not exist
        raise YamlError(str(error)) from None


def _check_events(text: str) -> bool:
    """True if there are aliases. Refuses deep nesting, on which libyaml overflows the stack, before it is built."""
    depth, aliases = 0, False
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise YamlError(f"line {event.start_mark.line + 1}: nested more than {DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        aliases = aliases or isinstance(event, yaml.AliasEvent)
    return aliases


def _check_aliases(root: yaml.Node) -> None:
    """Refuses aliases that stand for too much or for what they are in, without writing them out."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, inside: frozenset[int]) -> int:
        me = id(node)
        if me in inside:
            raise YamlError(f"line {node.start_mark.line + 1}: an alias stands for a value that it is part of")
        if me not in sizes:
            children = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
            children = [] if isinstance(node, yaml.ScalarNode) else children
            sizes[me] = 1 + sum(size(child, inside | {me}) for child in children)
        return sizes[me]

    if size(root, frozenset()) > LIMIT:
        raise YamlError(f"its aliases (*name) stand for more than {LIMIT:,} values: write out what is meant")


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
