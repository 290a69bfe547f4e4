"""A reader of pickles that runs nothing: an interpreter of our own for the few opcodes that network files use.

Why not `pickle.Unpickler` with a guarded `find_class`: its C code still does whatever the stream says with whatever it was
given. BUILD sets attributes of any object on the stack, classes and functions included, NEWOBJ calls `__new__`, extension
codes look into a process-wide registry, and a four-byte memo index makes it allocate gigabytes. Here an opcode that is not
in the table below does not exist, and the table can be read in a few minutes:

* only `pickletools.genops` parses bytes; it decodes arguments and knows no objects;
* containers (dict, list, set, tuple) are the ones made here, keys are short text or whole numbers;
* a global is a pair of names looked up in a given dict; it becomes an inert `Global`, nothing is imported;
* REDUCE, BUILD, NEWOBJ and BINPERSID hand inert values to functions of ours, one per allowed global.

Bounds: a `Budget` pays for every opcode, for the bytes that it cuts out of the file, and for what reducers make and walk
over; a file is refused as soon as it is spent. Naming a part again with the memo shares it, and costs a step; whatever
would walk over that part or copy it pays for its whole length, each time. Whole numbers as keys can be chosen so that they
all collide, so each pays for every entry that is there already. Nesting costs nothing here, since the interpreter is a
loop; whoever walks the result limits the depth.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from sg3x.files.printable import printable
from sg3x.interop.budget import Budget, BudgetError, UnsafePickleError

MAX_OPCODES = 500_000  # a network of three parts has about 30,000
_LONGEST_KEY = 1_000
_TENSORFLOW = "dnnlib.tflib."
_BYTES = 64  # of a small object, about
_SET_BYTES = 216

__all__ = ["MAX_OPCODES", "BudgetError", "Global", "Interpreter", "Node", "Reducer", "UnsafePickleError"]


class Global:
    """The name of something that is never looked up."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Node:
    """Base of what reducers may make that BUILD may complete; see `build`."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        raise UnsafePickleError(f"BUILD on {type(self).__name__.lower()}: its state cannot be set")


_MARK = Global("MARK")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARGUMENTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}

Reducer = Callable[[tuple], Any]


class Interpreter:
    """One pickle of a stream.

    Args:
        reducers: "module.name" -> what makes an inert value from the arguments of a REDUCE of that global. A global that
            is not in here is refused when it is named, even if nothing is done with it.
        creators: the same for NEWOBJ.
        persistent: what makes a value of a persistent id; None refuses them.
        budget: pays for everything; None: one for a file of a few bytes.
    """

    def __init__(
        self,
        reducers: Mapping[str, Reducer],
        creators: Mapping[str, Reducer] | None = None,
        persistent: Callable[[Any], Any] | None = None,
        max_opcodes: int = MAX_OPCODES,
        budget: Budget | None = None,
    ) -> None:
        self.reducers, self.persistent = reducers, persistent
        self.creators = {} if creators is None else creators
        self.max_opcodes = max_opcodes
        self.budget = Budget(0) if budget is None else budget
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        """The value of the pickle at the stream's position, which moves behind it.

        Raises:
            UnsafePickleError: whatever is wrong; the message names what was refused, and where.
        """
        position = stream.tell()
        try:
            for count, (opcode, argument, at) in enumerate(pickletools.genops(stream)):
                position = at if at is not None else position
                if count >= self.max_opcodes:
                    raise UnsafePickleError(f"more than {self.max_opcodes} opcodes")
                if opcode.name == "STOP":
                    return self._finish()
                self._step(opcode.name, argument)
        except UnsafePickleError as error:
            raise type(error)(f"{error} (at byte {position})") from None
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            what = printable(str(error).partition("\n")[0], 200)
            raise UnsafePickleError(f"damaged after byte {position}: {what or type(error).__name__}") from None
        except MemoryError:
            raise UnsafePickleError(f"needs more memory than there is, at byte {position}") from None
        raise UnsafePickleError("damaged: it ends before STOP")

    def _finish(self) -> Any:
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise UnsafePickleError(f"damaged: {len(self.stack)} values are left at STOP, expected 1")
        return self.stack[0]

    def _step(self, name: str, argument: Any) -> None:
        self.budget.take(_SET_BYTES if name == "EMPTY_SET" else _BYTES)
        if name in _ARGUMENTS:
            if type(argument) in (bytes, str):
                self.budget.take(len(argument), 0)
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack.append(self._pop_tuple(_TUPLES[name]))
        elif method := _METHODS.get(name):
            method(self, argument)
        else:
            raise UnsafePickleError(f"opcode {name} is refused: network files do not use it")

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UnsafePickleError("damaged: an opcode takes more values than there are")
        return self.stack.pop()

    def _pop_tuple(self, count: int) -> tuple:
        return tuple([self._pop() for _ in range(count)][::-1])

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while True:
            if not self.stack:
                raise UnsafePickleError("damaged: a MARK is missing")
            value = self.stack.pop()
            if value is _MARK:
                return items[::-1]
            items.append(value)

    def _top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            found = type(self.stack[-1]).__name__ if self.stack else "nothing"
            raise UnsafePickleError(f"items are added to {found}, expected a {kind.__name__} of this pickle")
        return self.stack[-1]

    def _nothing(self, _: Any) -> None:
        """PROTO and FRAME only help those who read from a socket."""

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _memoize(self, _: Any) -> None:
        self._put(len(self.memo))

    def _put(self, index: int) -> None:
        if index >= MAX_OPCODES:  # picklers count; larger ones can be chosen so that they all collide
            raise UnsafePickleError(f"memo {index} is refused: it is larger than {MAX_OPCODES}")
        value = self._pop()
        self.memo[index] = value
        self.stack.append(value)

    def _get(self, index: int) -> None:
        if index not in self.memo:
            raise UnsafePickleError(f"damaged: memo {index} was never set")
        self.stack.append(self.memo[index])

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _appends(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._top(list).extend(items)

    def _additems(self, _: Any) -> None:
        items = self._pop_to_mark()
        target = self._top(set)
        for item in items:
            target.add(self._key(item, target))

    def _setitem(self, _: Any) -> None:
        key, value = self._pop_tuple(2)
        target = self._top(dict)
        target[self._key(key, target)] = value

    def _setitems(self, _: Any) -> None:
        items = self._pop_to_mark()
        if len(items) % 2:
            raise UnsafePickleError("damaged: a key without a value")
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key, target)] = value

    def _key(self, value: Any, target: dict | set) -> Any:
        """Keys are what hashes fast and alike: nested tuples could take for ever."""
        if type(value) is int:
            self.budget.take(_BYTES, len(target))
        elif type(value) is not str:
            raise UnsafePickleError(f"a key of type {type(value).__name__} is refused: keys are text or whole numbers")
        elif len(value) > _LONGEST_KEY:
            raise UnsafePickleError(f"a key of {len(value)} characters is refused: names are shorter")
        else:
            self.budget.take(_BYTES)
        return value

    def _global(self, argument: str) -> None:
        self._name(*argument.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        module, name = self._pop_tuple(2)
        if type(module) is not str or type(name) is not str:
            raise UnsafePickleError("a global whose name is not text is refused")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full.startswith(_TENSORFLOW):
            raise UnsafePickleError(
                f"this is a TensorFlow file of StyleGAN 1 or 2 ({printable(full, 60)!r}): convert it with legacy.py of "
                "NVIDIA's stylegan3 repository; sg3x draws StyleGAN3's networks only"
            )
        # "a.b" + "c" and "a" + "b.c" are the same text: a dotted name asks for an attribute of something, so it is out.
        if "." in name or (full not in self.reducers and full not in self.creators):
            raise UnsafePickleError(f"global {full[:100]!r} is refused: network files do not need it")
        self.stack.append(Global(full))

    def _call(self, functions: Mapping[str, Reducer], what: str) -> None:
        function, arguments = self._pop_tuple(2)
        if type(function) is not Global or type(arguments) is not tuple:
            raise UnsafePickleError(f"{what} of {type(function).__name__} with {type(arguments).__name__} is refused")
        if function.name not in functions:
            raise UnsafePickleError(f"{what} of {function.name!r} is refused")
        self.stack.append(functions[function.name](arguments))

    def _reduce(self, _: Any) -> None:
        self._call(self.reducers, "REDUCE")

    def _newobj(self, _: Any) -> None:
        self._call(self.creators, "NEWOBJ")

    def _build(self, _: Any) -> None:
        state = self._pop()
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, Node):
            raise UnsafePickleError(f"BUILD on {type(target).__name__} is refused")
        target.build(state)

    def _persistent(self, _: Any) -> None:
        if self.persistent is None:
            raise UnsafePickleError("a persistent id is refused here")
        self.stack.append(self.persistent(self._pop()))

    def _bytearray(self, argument: Any) -> None:
        self.budget.take(2 * len(argument))
        self.stack.append(bytes(argument))


_METHODS: dict[str, Callable[[Interpreter, Any], None]] = {
    "PROTO": Interpreter._nothing, "FRAME": Interpreter._nothing, "MARK": Interpreter._mark,
    "MEMOIZE": Interpreter._memoize, "BINPUT": Interpreter._put, "LONG_BINPUT": Interpreter._put,
    "BINGET": Interpreter._get, "LONG_BINGET": Interpreter._get,
    "TUPLE": Interpreter._tuple, "APPEND": Interpreter._append, "APPENDS": Interpreter._appends,
    "ADDITEMS": Interpreter._additems, "SETITEM": Interpreter._setitem, "SETITEMS": Interpreter._setitems,
    "GLOBAL": Interpreter._global, "STACK_GLOBAL": Interpreter._stack_global, "REDUCE": Interpreter._reduce,
    "NEWOBJ": Interpreter._newobj, "BUILD": Interpreter._build, "BINPERSID": Interpreter._persistent,
    "BYTEARRAY8": Interpreter._bytearray,
}  # fmt: skip
