"""One unit that is interrupted wherever a file gets its name or loses it."""

from __future__ import annotations

import contextlib
import itertools
import pathlib

import pytest

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.download.options import StagingOptions
from pipelines.download.staging import stage
from pipelines.source.discover import discover_source
from pipelines.source.unit import RecordParameters, Unit
from pipelines.storage import filesystem
from tests.conftest import digests


class Stopped(BaseException):
    """As by a signal: nothing catches it."""


@pytest.mark.parametrize("name", ["rename", "remove"])
def test_a_unit_that_is_done_has_all_its_files(world, tmp_path, monkeypatch, name: str):
    (unit, *_) = (u for u in discover_source(str(world), ("test",), None).parts)
    assert isinstance(unit, Unit)
    parameters = RecordParameters(NormalizationConfig(image_size=32))

    def run(folder: pathlib.Path) -> None:
        stage(unit, Output(str(folder)), parameters, StagingOptions())

    run(tmp_path / "calm")
    expected = digests(tmp_path / "calm")
    assert len(expected) == 4
    real = getattr(filesystem, name)
    for fatal, after in itertools.product(range(4), (False, True)):
        count = itertools.count()

        def stopping(*paths, fatal=fatal, after=after, count=count):
            number = next(count)
            if number == fatal and not after:
                raise Stopped
            real(*paths)
            if number == fatal:
                raise Stopped

        folder = tmp_path / f"{fatal} {after}"
        monkeypatch.setattr(filesystem, name, stopping)
        with contextlib.suppress(Stopped):
            run(folder)
        monkeypatch.setattr(filesystem, name, real)
        run(folder)
        found = {path: digest for path, digest in digests(folder).items() if ".tmp" not in path}
        assert found == expected
