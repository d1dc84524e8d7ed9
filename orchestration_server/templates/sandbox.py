"""A sandbox for Jinja2: an allowlist of syntax nodes, and a budget of steps and characters.

The budget counts operations instead of time, so the same template with the same variables always ends the
same way. A template cannot call anything. Operations that grow a text, loop or compare go through filters
that pay for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from math import isfinite
from operator import attrgetter
from typing import Any, NoReturn, cast

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta, nodes, pass_context
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from orchestration_server.templates.budget import Budget, Fault
from orchestration_server.templates.filters import COMPARE, CONCAT, EACH, FILTERS, INTERNAL, TESTS, text

_LOOP = {name: attrgetter(name) for name in ("index", "index0", "first", "last", "length")}
_JINJA = frozenset(("self", "super", "caller", "varargs", "kwargs"))
RESERVED = _JINJA | {"loop", "item", "index"}
"""Names that variables may not have."""
MAX_NUMBER = 2**53

_NODES: Mapping[type[nodes.Node], int] = {
    nodes.Add: 8,
    nodes.And: 1,
    nodes.Assign: 2,
    nodes.Compare: 12,
    nodes.Concat: 10,
    nodes.CondExpr: 1,
    nodes.Const: 1,
    nodes.Dict: 2,
    nodes.Filter: 12,
    nodes.For: 4,
    nodes.Getattr: 6,
    nodes.Getitem: 6,
    nodes.If: 1,
    nodes.Keyword: 1,
    nodes.List: 2,
    nodes.Mul: 8,
    nodes.Name: 1,
    nodes.Neg: 1,
    nodes.Not: 1,
    nodes.Operand: 0,
    nodes.Or: 1,
    nodes.Output: 2,
    nodes.Pair: 1,
    nodes.Sub: 8,
    nodes.Template: 0,
    nodes.TemplateData: 1,
    nodes.Test: 2,
    nodes.Tuple: 1,
}
"""The allowed nodes of a template, with the steps of each."""


class _Context(Context):
    budget: Budget


@pass_context
def _printed(_: Context, value: Any) -> str:
    """Return the text of a printed value.

    It takes the context so that Jinja2 prints no constant while it compiles a template.
    """
    return text(value)


class _Environment(SandboxedEnvironment):
    intercepted_binops = frozenset(("+", "-", "*"))

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=_printed,
            autoescape=False,
            optimized=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = FILTERS | INTERNAL
        self.tests = dict(TESTS)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of an object, a list or a text, or an attribute of a loop. Nothing else has any."""
        kind = type(obj)
        if kind is dict:
            if isinstance(argument, str) and argument in obj:
                return obj[argument]
        elif kind is list or kind is str:
            if type(argument) is int and -len(obj) <= argument < len(obj):
                return obj[argument]
        elif isinstance(obj, LoopContext) and argument in _LOOP:
            return _LOOP[argument](obj)
        elif isinstance(obj, Undefined):
            return obj
        return self.undefined(f"{_kind(obj)} has no {str(argument)[:64]!r}")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the same as ``getitem``: ``a.b`` and ``a["b"]`` mean the same."""
        return self.getitem(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of arithmetic on numbers, within the range in which floats are exact."""
        for value in (left, right):
            if type(value) is not int and type(value) is not float:
                raise Fault(f"{operator} takes numbers; texts are joined with ~")
        result = left + right if operator == "+" else left - right if operator == "-" else left * right
        if not abs(result) <= MAX_NUMBER:
            raise Fault(f"{operator} gives a number beyond 2^53")
        return result


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names.get(type(value), "it")


_ENVIRONMENT = _Environment()
"""The settings that all templates are compiled with. It has no state."""


class Syntax(Exception):
    """An error in the syntax of a template. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Program:
    """A compiled template. With ``typed``, a ``{{ … }}`` alone is an ``expression`` and keeps its type."""

    def __init__(self, source: str, known: frozenset[str], *, typed: bool = False) -> None:
        """Compile a template.

        Raises Syntax if it breaks the rules or names a variable that is not ``known``.
        """
        try:
            tree = _ENVIRONMENT.parse(source)
            _check(tree, top=True)
            for name in sorted(_names(tree) - known):
                raise Syntax(_line_of(tree, name), f"{name} is not a variable of this template")
            self.steps = _weigh(tree)
            tree = _Rewrite().visit(tree)
            expression = _expression(tree) if typed else None
            self.expression = expression is not None
            if expression is not None:
                target = nodes.Name(_VALUE, "store", lineno=expression.lineno)
                tree.body = [nodes.Assign(target, expression, lineno=expression.lineno)]
            tree.set_environment(_ENVIRONMENT)
            code = _ENVIRONMENT.compile(tree)
        except TemplateSyntaxError as error:
            raise Syntax(error.lineno, error.message or "is not Jinja2") from None
        except (MemoryError, RecursionError, SyntaxError):
            raise Syntax(1, "is nested too deeply") from None
        except ValueError:
            raise Syntax(1, "has a number of too many digits") from None
        self._template = Template.from_code(_ENVIRONMENT, code, {})

    def run(self, run: Run) -> Any:
        """Return the value of an expression, or the rendered text."""
        budget = run.budget
        budget.spend(self.steps + _PROGRAM)
        context = run.context
        context.vars.clear()
        pieces = []
        for piece in self._template.root_render_func(context):
            budget.put(len(piece))
            pieces.append(piece)
        if self.expression:
            return context.vars[_VALUE]
        return "".join(pieces)

    def line_of(self, error: BaseException) -> int:
        """Return the line of the source in which an error was raised."""
        line, trace = 1, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals is self._template.root_render_func.__globals__:
                line = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


class Run:
    """One rendering: its budget and the values of its variables."""

    def __init__(self, budget: Budget, values: dict[str, Any]) -> None:
        self.budget = budget
        self.values = values
        self.context = _Context(_ENVIRONMENT, values, None, {})
        self.context.budget = budget


_VALUE = "_value"
_PROGRAM = 3
"""The steps of starting a program."""


def _check(node: nodes.Node, *, top: bool = False) -> None:
    """Raise Syntax if a node or one below it is not in the allowlist."""
    kind = type(node)
    if kind not in _NODES:
        _refuse(node, f"{kind.__name__} is not allowed in a template")
    if isinstance(node, nodes.Name):
        if node.name.startswith("_") or node.name in _JINJA or (node.name == "loop" and node.ctx == "store"):
            _refuse(node, f"{node.name} cannot be a name of a template's own")
    elif isinstance(node, nodes.Const):
        _check_value(node)
    elif isinstance(node, nodes.Filter):
        _check_filter(node)
    elif isinstance(node, nodes.Test):
        if node.name not in TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            _refuse(node, f"{node.name} is no test; the tests are {', '.join(sorted(TESTS))}")
    elif isinstance(node, nodes.For):
        if node.recursive:
            _refuse(node, "a loop cannot be recursive")
    elif isinstance(node, nodes.Assign):
        if not isinstance(node.target, nodes.Name):
            _refuse(node, "set takes one name")
    elif isinstance(node, nodes.Tuple):
        if node.ctx != "store":
            _refuse(node, "a tuple is not allowed in a template: write a list")
    elif isinstance(node, nodes.Compare) and len(node.ops) != 1:
        _refuse(node, "comparisons cannot be chained: join them with and")
    for child in node.iter_child_nodes():
        _check(child)


def _check_value(node: nodes.Const) -> None:
    """Raise Syntax for a number that JSON cannot represent, or a text with forbidden escapes."""
    value = node.value
    if isinstance(value, float) and not isfinite(value):
        _refuse(node, "a number must not be infinite")
    if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        _refuse(node, "a text contains NUL, or half of a surrogate pair")


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS or node.node is None:
        _refuse(node, f"{node.name} is no filter; the filters are {', '.join(sorted(FILTERS))}")
    if node.dyn_args or node.dyn_kwargs:
        _refuse(node, "a filter's arguments have to be written out")
    keywords = {keyword.key: None for keyword in cast(list[nodes.Keyword], node.kwargs)}
    try:
        signature(FILTERS[node.name]).bind(None, None, *node.args, **keywords)
    except TypeError as error:
        _refuse(node, f"{node.name}: {error}")


def _refuse(node: nodes.Node, message: str) -> NoReturn:
    raise Syntax(node.lineno, message)


def _names(tree: nodes.Template) -> set[str]:
    """Return the undeclared names of a template, without evaluating anything."""
    tracker = meta.TrackingCodeGenerator(_ENVIRONMENT)
    tracker.optimizer = None
    tracker.visit(tree)
    return tracker.undeclared_identifiers


def _line_of(tree: nodes.Template, name: str) -> int:
    return next((n.lineno for n in tree.find_all(nodes.Name) if n.name == name), 1)


def _expression(tree: nodes.Template) -> nodes.Expr | None:
    """Return the expression of a template that consists of one; else None."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    parts = tree.body[0].nodes
    return parts[0] if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData) else None


def _weigh(node: nodes.Node) -> int:
    """Return the steps of a node and those below it, without the bodies of loops, which pay by the turn."""
    return _NODES[type(node)] + sum(_weigh(child) for child in _outside_loops(node))


def _outside_loops(node: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(node, nodes.For):
        yield node.iter
        yield from node.else_
    else:
        yield from node.iter_child_nodes()


def _turn(loop: nodes.For) -> int:
    """Return the steps of one turn of a loop."""
    test = [] if loop.test is None else [loop.test]
    return _NODES[nodes.For] + sum(_weigh(part) for part in (loop.target, *test, *loop.body))


class _Rewrite(NodeTransformer):
    """A rewriter that sends loops, concatenation and comparisons through filters that pay for them."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        turn = _turn(node)
        self.generic_visit(node)
        node.iter = _filter(EACH, node.iter, nodes.Const(turn, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(CONCAT, nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        operand = node.ops[0]
        return _filter(COMPARE, node.expr, nodes.Const(operand.op, lineno=node.lineno), operand.expr)


def _filter(name: str, value: nodes.Node, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, value), name, list(args), [], None, None, lineno=value.lineno)
