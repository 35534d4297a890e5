"""Docstrings and type stubs describe what is there."""

import ast
import doctest
import inspect
from pathlib import Path

import pytest

import luss_metrics

STUB = Path(__file__).parents[1] / "luss_metrics.pyi"
ITEMS = [name for name in luss_metrics.__all__ if not name.startswith("_")]


def public(item):
    is_class = inspect.isclass(item) and not issubclass(item, Exception)
    return [name for name in vars(item) if not name.startswith("_")] if is_class else []


def documented():
    yield "luss_metrics", luss_metrics
    for name in ITEMS:
        item = getattr(luss_metrics, name)
        yield name, item
        yield from ((f"{name}.{method}", getattr(item, method)) for method in public(item))


@pytest.mark.parametrize("name, item", list(documented()))
def test_every_docstring_has_an_example_that_holds(name, item):
    text = inspect.getdoc(item)
    assert text, f"{name} has no docstring"
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert example.examples or not callable(item) or item is luss_metrics.MasksNeeded, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert runner.run(example).failed == 0


def stubs():
    """Name and parameters of each function of the stub."""
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, getattr(luss_metrics, node.name), node
        if isinstance(node, ast.ClassDef):
            owner = getattr(luss_metrics, node.name, None)
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and owner]
            plain = [m for m in methods if not m.name.startswith("__") and not m.decorator_list]
            yield from ((f"{node.name}.{m.name}", getattr(owner, m.name), m) for m in plain)
            yield from ((node.name, owner, m) for m in methods if m.name == "__new__")


@pytest.mark.parametrize("name, item, stub", list(stubs()))
def test_the_stub_has_the_parameters_of_the_module(name, item, stub):
    there = [p.name for p in inspect.signature(item).parameters.values() if p.name != "self"]
    told = [a.arg for a in [*stub.args.posonlyargs, *stub.args.args, *stub.args.kwonlyargs] if a.arg not in ("self", "cls")]
    assert told == there, name


def test_the_stub_names_everything():
    nodes = ast.parse(STUB.read_text()).body
    told = {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert set(ITEMS) <= set(told)
    for name in ITEMS:
        methods = {m.name for m in getattr(told[name], "body", []) if isinstance(m, ast.FunctionDef)}
        assert set(public(getattr(luss_metrics, name))) <= methods
