"""What is awkward about a model's code, read off its source.

Looked at are ``forward`` of each class of the model, and what it can reach in the same
files: functions and classes that it names, methods and properties that it looks up.
Constructors do not count, they run once.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_Function = ast.FunctionDef
_LOOPS = (ast.For, ast.While)


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Calls of functions or methods of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in names:
            yield node


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _first_name(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _targets(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            yield from node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            yield node.target


def _has(tree: ast.AST, *kinds: type[ast.AST]) -> bool:
    return any(isinstance(node, kinds) for node in ast.walk(tree))


def _stores(tree: ast.AST, owner: str) -> bool:
    return any(
        isinstance(target, ast.Attribute) and _first_name(target) == owner
        for target in _targets(tree)
    )


def _inner(function: _Function) -> Iterator[_Function]:
    for node in ast.walk(function):
        if isinstance(node, _Function) and node is not function:
            yield node


def _returns_closure(function: _Function) -> bool:
    inner = {each.name for each in _inner(function)}
    return any(
        isinstance(node, ast.Return) and _last_name(node.value or node) in inner
        for node in ast.walk(function)
    )


def _is_host_number(call: ast.Call) -> bool:
    """``float(w.min())``, ``float(min_value)``, ``bool((a != b).any())``, ``x.item()``."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr == "item"
    argument = call.args[0] if call.args else None
    return isinstance(argument, (ast.Call, ast.Name)) and not any(
        isinstance(node, ast.Attribute) and _first_name(node) in ("np", "math")
        for node in ast.walk(argument)
    )


def _on_data(test: ast.AST) -> bool:
    """Does a test ask a method of a tensor?"""
    return any(
        isinstance(call.func, ast.Attribute) and _first_name(call.func) != "np"
        for call in _calls(test, "sum", "any", "all", "item")
    )


def _optional_arguments(function: _Function) -> bool:
    names = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)}
    return any(
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], (ast.Is, ast.IsNot))
        and isinstance(node.left, ast.Name)
        and node.left.id in names
        for node in ast.walk(function)
    )


def _grows(function: _Function) -> bool:
    """``t = t + (x,)``."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and isinstance(node.right, ast.Tuple)
        for node in ast.walk(function)
    )


def _while_variable(function: _Function) -> bool:
    """A loop for as long as a variable is true that a tensor has set."""
    for node in ast.walk(function):
        if isinstance(node, ast.While) and isinstance(node.test, ast.Name):
            name = node.test.id
            for inner in ast.walk(node):
                if isinstance(inner, ast.Assign) and _on_data(inner.value):
                    if any(_last_name(target) == name for target in inner.targets):
                        return True
    return False


#: Name -> is it in a function?
FEATURES: dict[str, Callable[[_Function], bool]] = {
    "star arguments": lambda f: (
        f.args.vararg is not None or _has(f, ast.Starred)
    ),
    "factory of closures": _returns_closure,
    "nested function": lambda f: any(True for _ in _inner(f)),
    "children by name": lambda f: any(
        True for _ in _calls(f, "named_children", "named_modules", "children")
    ),
    "growing list": lambda f: any(True for _ in _calls(f, "append", "extend")),
    "growing tuple": _grows,
    "any or all of a generator": lambda f: any(
        isinstance(argument, ast.GeneratorExp)
        for call in _calls(f, "any", "all", "tuple", "sum")
        for argument in call.args
    ),
    "writes in place": lambda f: any(
        name.endswith("_") and not name.endswith("__")
        for node in ast.walk(f)
        if isinstance(node, ast.Call) and (name := _last_name(node.func))
    )
    or any(
        keyword.arg == "inplace" and getattr(keyword.value, "value", None) is True
        for node in ast.walk(f)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    ),
    "stores on self": lambda f: _stores(f, "self"),
    "stores on ctx": lambda f: _stores(f, "ctx"),
    "numpy": lambda f: any(
        _first_name(node.func) == "np"
        for node in ast.walk(f)
        if isinstance(node, ast.Call)
    ),
    "modules by name": lambda f: any(
        len(call.args) == 2 and not isinstance(call.args[1], ast.Constant)
        for call in _calls(f, "getattr")
    ),
    "property": lambda f: any(_last_name(d) == "property" for d in f.decorator_list),
    "class method": lambda f: any(
        _last_name(d) == "classmethod" for d in f.decorator_list
    ),
    "asks for types": lambda f: any(True for _ in _calls(f, "isinstance", "hasattr")),
    "writes slots": lambda f: any(isinstance(t, ast.Subscript) for t in _targets(f)),
    "comprehension": lambda f: _has(f, ast.ListComp, ast.DictComp, ast.SetComp),
    "zip": lambda f: any(True for _ in _calls(f, "zip")),
    "numbers of tensors": lambda f: any(
        _is_host_number(call) for call in _calls(f, "float", "bool", "item")
    ),
    "branch on data": lambda f: any(
        isinstance(node, ast.If) and _on_data(node.test) for node in ast.walk(f)
    ),
    "loop on data": _while_variable,
    "continue": lambda f: _has(f, ast.Continue),
    "nested loops": lambda f: any(
        isinstance(inner, _LOOPS) and inner is not node
        for node in ast.walk(f)
        if isinstance(node, _LOOPS)
        for inner in ast.walk(node)
    ),
    "keyword dictionaries": lambda f: f.args.kwarg is not None
    or any(
        keyword.arg is None
        for node in ast.walk(f)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    ),
    "result classes": lambda f: any(
        isinstance(node, ast.Return)
        and isinstance(node.value, ast.Call)
        and "Output" in _last_name(node.value.func)
        for node in ast.walk(f)
    ),
    "optional arguments": _optional_arguments,
    "sizes in arithmetic": lambda f: any(
        isinstance(node, ast.BinOp)
        and any(
            isinstance(side, ast.Call) and _last_name(side.func) == "size"
            for side in ast.walk(node)
        )
        for node in ast.walk(f)
    ),
}  # fmt: skip


def of_functions(functions: list[_Function]) -> frozenset[str]:
    """Return the features of some functions."""
    return frozenset(
        name for name, test in FEATURES.items() if any(map(test, functions))
    )


def of_model(model: nn.Module) -> frozenset[str]:
    """Return the features of a model's forward code."""
    return of_functions(_reached(model))


def _reached(model: nn.Module) -> list[_Function]:
    classes = {
        type(module)
        for module in model.modules()
        if not type(module).__module__.startswith("torch.")
    }
    files = {sys.modules[cls.__module__] for cls in classes}
    definitions = {file: _definitions(file) for file in files}
    reach = _Reach(definitions)
    for cls in classes:
        reach.classes.add((sys.modules[cls.__module__], cls.__name__))
    return reach.all()


_Definitions = dict[str, ast.ClassDef | _Function]


def _definitions(file: ModuleType) -> _Definitions:
    tree = ast.parse(inspect.getsource(file))
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, (ast.ClassDef, _Function))
    }


class _Reach:
    """Which functions can run, by names alone."""

    def __init__(self, files: dict[ModuleType, _Definitions]) -> None:
        self._files = files
        self.classes: set[tuple[ModuleType, str]] = set()
        self._functions: dict[int, _Function] = {}

    def all(self) -> list[_Function]:
        names = {"forward"}
        while True:
            before = len(self._functions), len(self.classes), len(names)
            for file, name in list(self.classes):
                node = self._files[file].get(name)
                if isinstance(node, ast.ClassDef):
                    self._take(file, node, names)
            if before == (len(self._functions), len(self.classes), len(names)):
                return list(self._functions.values())

    def _take(self, file: ModuleType, node: ast.ClassDef, names: set[str]) -> None:
        for base in node.bases:
            self._note(file, _last_name(base), names)
        for each in node.body:
            if isinstance(each, _Function) and each.name in names:
                self._add(file, each, names)

    def _add(self, file: ModuleType, function: _Function, names: set[str]) -> None:
        if id(function) in self._functions:
            return
        self._functions[id(function)] = function
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr != "__init__":
                names.add(node.attr)
            elif isinstance(node, ast.Name):
                self._note(file, node.id, names)

    def _note(self, file: ModuleType, name: str, names: set[str]) -> None:
        found = self._files[file].get(name)
        if isinstance(found, ast.ClassDef):
            self.classes.add((file, name))
        elif found is not None:
            self._add(file, found, names)
