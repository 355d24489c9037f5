"""Flags as fields of dataclasses: what a command line gives, and how mistakes are told."""

from __future__ import annotations

import dataclasses

import pytest

from pipelines.common.errors import UserError
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, OutputOptions, SeedOptions, flag, group


def shout(text: str) -> str:
    if not text.isalpha():
        raise ValueError(f"expected letters, found {text!r}")
    return text.upper()


@dataclasses.dataclass(frozen=True)
class Inner(SeedOptions):
    size: int = flag(8, "of a side (default: {default}; 0 keeps it)", least=0, most=100)
    names: tuple[str, ...] = flag((), "some", repeats=True)
    sizes: tuple[int, ...] = flag((1, 2), "several")


@dataclasses.dataclass(frozen=True)
class Outer(Options):
    output: OutputOptions = group()
    inner: Inner = group("inner flags", "about them")
    seed: SeedOptions = group()
    word: str = flag("QUIET", "said", parse=shout, old_names=["cry"])
    kind: str = flag("a", "which", choices=["a", "b"])
    rate: float | None = flag(None, "of 100 %", least=0.5)
    fast: bool = flag(False, "hurry")
    files: tuple[str, ...] = flag((), "to read", metavar="FILE", positional=True, repeats=True)


COMMAND = Command("try", Outer, "Tries.", "examples:\n  gld2 try\n")
GIVEN = ["--output=o/"]


def test_defaults_are_those_of_the_fields():
    found = COMMAND.parse(GIVEN)
    assert found == Outer(OutputOptions("o"), Inner(), SeedOptions())


def test_values_have_the_types_of_the_fields():
    words = ["x", "--size=9", "--names=a,b", "--names=c", "--sizes=3,4", "--word=hey", "--kind=b"]
    found = COMMAND.parse([*GIVEN, *words, "--rate=1", "--fast", "--seed=5", "y"])
    assert found.inner == Inner(5, 9, ("a,b", "c"), (3, 4))
    assert found.seed == SeedOptions(5)  # the flag that two groups share
    assert (found.word, found.kind, found.rate, found.fast) == ("HEY", "b", 1.0, True)
    assert found.files == ("x", "y")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size=x"], "--size: expected a whole number, found 'x'"),
        (["--size=101"], "--size: expected 0 to 100, found 101"),
        (["--sizes=1,x"], "--sizes: expected a whole number, or several with commas, found '1,x'"),
        (["--rate=x"], "--rate: expected a number, found 'x'"),
        (["--rate=0"], "--rate: expected at least 0.5, found 0.0"),
        (["--rate=nan"], "--rate: expected at least 0.5, found nan"),
        (["--word=a1"], "--word: expected letters, found 'a1'"),
        (["--kind=c"], "--kind c: expected one of a, b"),
        (["--siz=1"], "unrecognized arguments: --siz=1; gld2 try --help lists the flags"),
    ],
)
def test_a_mistake_names_the_flag_and_what_was_expected(words: list[str], expected: str):
    with pytest.raises(UserError) as caught:
        COMMAND.parse([*GIVEN, *words])
    assert str(caught.value) == expected


def test_what_is_made_without_a_command_line_is_checked_too():
    with pytest.raises(UserError, match="--size: expected 0 to 100"):
        Inner(size=-1)


def test_a_flag_without_a_default_is_required():
    with pytest.raises(UserError, match="required: --output"):
        COMMAND.parse([])


def test_an_old_name_works_and_says_what_it_is_called_now(capsys: pytest.CaptureFixture[str]):
    assert COMMAND.parse([*GIVEN, "--cry=help"]).word == "HELP"
    printed = capsys.readouterr()
    assert printed.err == "gld2 try: --cry is now --word; the old name will be removed\n"
    with pytest.raises(SystemExit):
        COMMAND.parse(["--help"])
    assert "--cry" not in capsys.readouterr().out


def test_help_says_defaults_and_groups(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        COMMAND.parse(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for said in ("of a side (default: 8; 0 keeps it)", "several (default: 1,2)", "of 100 %"):
        assert said in text
    for said in (
        "inner flags:",
        "about them",
        "Tries.",
        "gld2 try",
        "{a,b}",
        "said (default: QUIET)",
    ):
        assert said in text
    assert text.count("--seed N") == 2  # in the usage, and once in the list


def test_words_that_are_no_flags_are_given_back():
    found, rest = COMMAND.parse_known([*GIVEN, "--runner=X", "--size=3"])
    assert found.inner.size == 3
    assert rest == ["--runner=X"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--output="], "--output: expected a value, found ''"),
        (["--output=--"], "--output: expected a value, found '--'"),
        ([*GIVEN, "--size=--"], "--size: expected a value, found '--'"),
        ([*GIVEN, "--names=--"], "--names: expected a value, found '--'"),
        ([*GIVEN, "--kind=--"], "--kind: expected a value, found '--'"),
    ],
)
def test_nothing_is_no_value(words: list[str], expected: str):
    with pytest.raises(UserError) as caught:
        COMMAND.parse(words)
    assert str(caught.value) == expected
