"""Names of arrays and modules, there and back: {"synthesis.L0_36_512.weight": array} <-> `Generator`.

An attribute path of a module *is* the reference's name of the array, so nothing is translated. Flat dicts cross the borders
of compiled programs (a call costs a tenth of one with modules) and lie on disk; inside a program a dict is bound to its
module. `nnx.State` stays inside this file, whose interface Flax plans to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import jax
from flax import nnx
from flax.traverse_util import unflatten_dict

from sg3x.files.printable import printable

Params = dict[str, jax.Array]
MOST_LINES = 100  # of one message
# What `bind` needs: the module's structure, and the name, shape and dtype of each of its arrays.
Shapes = dict[str, jax.ShapeDtypeStruct]
Definition = tuple[nnx.GraphDef, Shapes]


def flat(module: nnx.Module, kind: Any = nnx.Variable) -> dict[str, Any]:
    """Arrays of a module by dotted name, in the order of the names.

    `kind`: a type of variable or another NNX filter; what it leaves out is left out.
    """
    state = nnx.state(module, kind, graph=False)
    return {".".join(map(str, path)): variable.get_raw_value() for path, variable in nnx.to_flat_state(state)}


@lru_cache(maxsize=64)
def definition(make: Callable[..., nnx.Module], *arguments: Any) -> Definition:
    """The definition of `make(*arguments, key=...)`, for `bind`; nothing is drawn or computed."""
    abstract = nnx.eval_shape(lambda: make(*arguments, key=jax.random.key(0)), graph=False)
    return nnx.graphdef(abstract, graph=False), flat(abstract)


def expected(defined: Definition, kind: Any = nnx.Variable) -> Shapes:
    """Name, shape and dtype of each array of one kind."""
    graphdef, arrays = defined
    return flat(nnx.merge(graphdef, unflatten_dict(arrays, sep=".")), kind)


def bind(defined: Definition, *arrays: Mapping[str, Any]) -> Any:
    """The module of a definition, with its arrays taken from flat dicts.

    Raises:
        ValueError: names or shapes differ from the definition's; the message lists every one. (`nnx.merge` itself goes by
            position: it takes a renamed or misshapen array without a word.)
    """
    graphdef, wanted = defined
    given = {name: x for part in arrays for name, x in part.items()}
    refuse_differences(given, wanted)
    return nnx.merge(graphdef, unflatten_dict({name: given[name] for name in wanted}, sep="."))


def differences(given: Mapping[str, Any], wanted: Mapping[str, Any], *, dtypes: bool = False) -> list[str]:
    """One line for each name that is missing, unexpected, or of another shape; with `dtypes` or of another dtype."""
    lines = [f"missing {name}" for name in sorted(wanted.keys() - given.keys())]
    lines += [f"unexpected {printable(name, 100)}" for name in sorted(given.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & given.keys()):
        ours, theirs = tuple(wanted[name].shape), tuple(given[name].shape)
        if ours != theirs:
            lines.append(f"{name} has shape {theirs}, expected {ours}")
        elif dtypes and wanted[name].dtype != given[name].dtype:
            lines.append(f"{name} is {given[name].dtype}, expected {wanted[name].dtype}")
    return lines


def refuse_differences(given: Mapping[str, Any], wanted: Mapping[str, Any], what: str = "arrays") -> None:
    """Raises ValueError when names or shapes differ; the message lists every one."""
    refuse(differences(given, wanted), f"the {what} do not fit the configuration")


def refuse(problems: Iterable[str], summary: str, error: type[ValueError] = ValueError) -> None:
    """Raises one error that lists every problem, if there is one."""
    if lines := list(problems):
        more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        raise error(f"{summary}:\n  " + "\n  ".join(lines[:MOST_LINES] + more))
