"""Flex templates: their forms ask for the flags that the commands have, and the launcher gives
them on."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import runpy

import pytest
from apache_beam.options.pipeline_options import WorkerOptions
from google.cloud.dataflow_v1beta3.types import TemplateMetadata

from pipelines import main
from pipelines.common.errors import UserError
from pipelines.common.options.command_line import Command
from pipelines.runner.options import beam_options
from tests.conftest import ROOT

TEMPLATES = runpy.run_path(str(ROOT / "docker" / "templates.py"))
COMMANDS = TEMPLATES["TEMPLATES"]
IMAGE = TEMPLATES["IMAGE"]
LAUNCH = runpy.run_path(str(ROOT / "docker" / "launch.py"))
GOOD = {  # of what has no default
    "source": "https://example.org/landmarks",
    "output": "gs://bucket/gld2",
    "model": "gs://bucket/job/export",
    "images": "gs://bucket/gld2",
    "ids": "gs://bucket/test.csv",
    "sdk_container_image": "europe-west4-docker.pkg.dev/project/gld2/pipelines:1",
    "archives": "0-4,7",
    "limit": "100",
    "threads": "2",
    "num_shards": "64",
    "contact": "you@example.org",
    "exclude_author": "A, B",
}
BAD = {
    "source": "/home/me",
    "output": "gs://bucket",
    "model": "export",
    "sdk_container_image": "pipelines",
    "archives": "0-",
    "limit": "all",
    "split": "train,,test",
    "near_duplicate_radius": "8",
    "exclude_leaks_from": "train",
    "validation": "many",
    "on_conflict": "keep",
    "max_aspect": "wide",
    "clean_only": "yes",
    "with_attribution": "1",
    "version": "1.0",
}


def parameters(command: str) -> dict[str, dict]:
    """Of the file that is uploaded, by name."""
    stored = json.loads(TEMPLATES["path"](command).read_text())
    return {parameter["name"]: parameter for parameter in stored["parameters"]}


def flag_values(command: str) -> dict[str, str]:
    """A value for each flag that takes one: its default, or one of the above."""
    found = {}
    for flag in TEMPLATES["flags"](command):
        shown = re.search(r"\(default: ([^ );,]+(?:,[^ );]+)*)[);,]", flag.about)
        if flag.kind is bool:
            found[flag.name] = "false"
        elif flag.default not in (None, "", (), frozenset(), dataclasses.MISSING):
            found[flag.name] = shown[1] if shown else str(flag.default)
        elif flag.name in GOOD:
            found[flag.name] = GOOD[flag.name]
    return found


def fits(parameter: dict, value: str) -> bool:
    return all(re.fullmatch(regex, value) for regex in parameter["regexes"])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_form_is_that_of_the_flags(command: str):
    """If this fails: python docker/templates.py"""
    assert TEMPLATES["path"](command).read_text() == TEMPLATES["text"](command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_service_reads_it(command: str):
    text = TEMPLATES["path"](command).read_text()
    read = TemplateMetadata.from_json(text, ignore_unknown_fields=False)
    assert [p.name for p in read.parameters] == [f.name for f in TEMPLATES["flags"](command)]
    assert all(p.label and len(p.help_text) > 10 and p.regexes for p in read.parameters)
    required = {p.name for p in read.parameters if not p.is_optional}
    assert {"output", IMAGE} <= required <= {"source", "output", "model", IMAGE}


@pytest.mark.parametrize("command", COMMANDS)
def test_patterns_let_defaults_and_good_values_pass(command: str):
    found = parameters(command)
    for name, value in flag_values(command).items():
        assert fits(found[name], value), name


@pytest.mark.parametrize("command", COMMANDS)
def test_patterns_refuse_what_the_command_would(command: str):
    refused = [name for name in parameters(command) if name in BAD]
    assert len(refused) >= 4
    for name in refused:
        assert not fits(parameters(command)[name], BAD[name]), name


@pytest.mark.parametrize("command", COMMANDS)
def test_what_passes_the_form_the_command_takes(command: str):
    """Together: switches off, as --from_urls takes no --archives, and --images neither."""
    values = {name: value for name, value in flag_values(command).items() if name != "images"}
    words = [f"--{name}={value}" for name, value in values.items()]
    found, rest = _command(command).parse_known(list(LAUNCH["flags"](words)))
    beams = beam_options(command, rest)
    where = found.submission if command == "score" else found.output
    assert where.output == GOOD["output"]
    assert beams.view_as(WorkerOptions).sdk_container_image == GOOD[IMAGE]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_form_asks_for_what_the_command_needs(command: str):
    for name, parameter in parameters(command).items():
        if name != IMAGE and not parameter["isOptional"]:  # that is Beam's to ask for
            words = [f"--{n}={v}" for n, v in flag_values(command).items() if n != name]
            with pytest.raises(UserError, match=name):
                _command(command).parse(list(LAUNCH["flags"](words)))


def test_switches_are_there_or_not():
    words = ["--clean_only=true", "--with_attribution=false", "--split=train", "--contact=a=b"]
    assert list(LAUNCH["flags"](words)) == ["--clean_only", "--split=train", "--contact=a=b"]


def _command(command: str) -> Command:
    return importlib.import_module(main.COMMANDS[command][0]).COMMAND
