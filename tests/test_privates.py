"""Tests reach what they test through public names, so that its inside may change without them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

TESTS = ROOT / "tests"
FILES = {str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py")}
FILES.remove("test_privates.py")  # its examples are what it forbids
BY_NAME = ("setattr", "getattr", "delattr", "hasattr", "patch", "object", "attrgetter")
# Of other people's code, where there is no public way.
ALLOWED = {
    # Beam looks for Google's credentials and offers no way to say that there are none.
    "pipelines/conftest.py": {"auth._Credentials", "_credentials_init"},
}


def is_private(dotted: str) -> bool:
    return any(part.startswith("_") and not part.endswith("__") for part in dotted.split("."))


def private_uses(source: str) -> Iterator[str]:
    """Yields each use of a private name that is not the file's own."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom():
                names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.Attribute() if not is_own(node.value):
                names = [ast.unparse(node)] if is_private(node.attr) else []
            case ast.Call():
                names = list(named(node))
            case ast.Constant(value=str(text)) if "import " in text:
                names = list(in_a_script(text))
            case _:
                names = []
        yield from filter(is_private, names)


def is_own(value: ast.expr) -> bool:
    """Whether the attributes of an expression are those of the class around it."""
    if isinstance(value, ast.Call):
        value = value.func
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "super")


def named(call: ast.Call) -> Iterator[str]:
    """Yields the names that a call has as strings, as in setattr(module, "name", ...)."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    for word in call.args:
        if called in BY_NAME and isinstance(word, ast.Constant) and isinstance(word.value, str):
            yield word.value


def in_a_script(text: str) -> Iterator[str]:
    """Yields the private uses of a program that a test runs in a process of its own."""
    try:
        yield from private_uses(textwrap.dedent(text))
    except SyntaxError:  # prose
        return


@pytest.mark.parametrize("file", sorted(FILES))
def test_no_test_reaches_into_what_is_private(file: str):
    source = (TESTS / file).read_text(encoding="utf-8")
    assert set(private_uses(source)) <= ALLOWED.get(file, set())


@pytest.mark.parametrize("file", ALLOWED)
def test_what_is_allowed_is_used(file: str):
    assert set(private_uses((TESTS / file).read_text())) == ALLOWED[file]


@pytest.mark.parametrize(
    "line",
    [
        "from trainer.export import _serve",
        "from trainer._export import serve",
        "import trainer._export",
        "export._serve(path, folder)",
        "usual = find, build._grown",
        "network.optimizer._learning_rate",
        "getattr(export, '_serve')",
        "monkeypatch.setattr(streams, '_wait', lambda state: 0.0)",
        "monkeypatch.setattr('trainer.export._serve', None)",
        "mock.patch('trainer.export._serve')",
        "subprocess.run([sys.executable, '-c', 'import trainer.export as e; e._serve()'])",
    ],
)
def test_a_private_use_is_found(line: str):
    assert list(private_uses(line))


@pytest.mark.parametrize(
    "line",
    [
        "from __future__ import annotations",
        "from trainer.export import export",
        "self._parts",
        "super()._read(size)",
        "super().__init__()",
        "name.replace('_', '-')",
        "_word(value)",
        "path.endswith('_momentum')",
        "monkeypatch.setattr(streams, 'TIMEOUT', (5.0, 0.3))",
        "say('import it as _this')",
    ],
)
def test_what_is_public_or_the_file_s_own_is_not(line: str):
    assert not list(private_uses(line))
