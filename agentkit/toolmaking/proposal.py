"""What a maker writes: Python code with one public function; it is read here, and run in the sandbox only."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)
_TYPES: Mapping[str, Any] = {
    "Any": Any, "bool": bool, "dict": dict, "float": float, "int": int, "list": list, "str": str,
}  # fmt: skip
_FORM = "annotate it with str, int, float, bool, list[…], dict[str, …] or a union of these"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A function that may become a tool; proposals are equal when their code is, whatever its layout.

    Its parameters can be filled from JSON: that is read from the annotations, nothing of it is run.
    """

    name: str
    code: str
    doc: str = field(compare=False)
    parameters: tuple[inspect.Parameter, ...] = field(compare=False, repr=False)

    @classmethod
    def read(cls, text: str) -> Proposal:
        """Read the code in a maker's reply; raises ValueError with what is wrong, for the maker to read."""
        found = _FENCE.findall(text)
        code = (found[0] if found else text).strip()
        try:
            module = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"the reply is not Python code: {error}") from None
        public = [
            node
            for node in module.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        ]
        if len(public) != 1 or isinstance(public[0], ast.AsyncFunctionDef):
            raise ValueError("write exactly one function whose name does not begin with '_', and not async")
        function = public[0]
        doc = inspect.cleandoc(ast.get_docstring(function) or "")
        if not doc:
            raise ValueError(f"{function.name} has no docstring; say what it does and what its arguments are")
        return cls(function.name[:64], ast.unparse(module), doc, _parameters(function.args))

    @property
    def shape(self) -> tuple[str, int]:
        """Name and arity."""
        return self.name, len(self.parameters)


def _parameters(given: ast.arguments) -> tuple[inspect.Parameter, ...]:
    if given.vararg or given.kwarg or given.posonlyargs:
        raise ValueError("the function is called by keyword: no *args, **kwargs or positional-only parameters")
    plain = [*given.args, *given.kwonlyargs]
    defaults = [*[None] * (len(given.args) - len(given.defaults)), *given.defaults, *given.kw_defaults]
    return tuple(_parameter(arg, default) for arg, default in zip(plain, defaults, strict=True))


def _parameter(arg: ast.arg, default: ast.expr | None) -> inspect.Parameter:
    if arg.annotation is None:
        raise ValueError(f"parameter {arg.arg!r} has no annotation; {_FORM}")
    try:
        value = inspect.Parameter.empty if default is None else ast.literal_eval(default)
        kind = _type(arg.annotation)
    except (ValueError, TypeError):
        raise ValueError(f"parameter {arg.arg!r} cannot be filled from JSON; {_FORM}") from None
    return inspect.Parameter(arg.arg, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)


def _type(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _type(left) | _type(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_type(item)]  # type: ignore[misc]  # a type made of text
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return dict[str, _type(item)]  # type: ignore[misc]
    raise ValueError("not a type that JSON has")
