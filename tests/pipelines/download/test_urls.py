"""gld2 download --from_urls: the url column of train.csv, from a real server."""

from __future__ import annotations

import json
import pathlib
import urllib.parse
from http import HTTPStatus

import pandas as pd
import pytest

from pipelines.common.errors import UserError
from pipelines.curate.command import main as curate_main
from pipelines.download.command import main as download_main
from pipelines.sample import http_server
from pipelines.source import discover
from tests.conftest import digests
from tests.pipelines.conftest import kaggle_layout, read_tables

FLAGS = ["--from_urls", "--contact=me@example.org", "--requests_per_second=10000"]
FILES = ("facts/*", "staged/*.tfrecord", "rejects/*")


@pytest.fixture(scope="module")
def loose(world: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("loose")
    kaggle_layout(world, root)
    return root


class Site(http_server.Handler):
    """Refuses some photos for as long as it is told to."""

    refuses = False
    agents: set[str]

    def reply(self):
        self.agents.add(self.headers["User-Agent"])
        if type(self).refuses and self.path.endswith(("0.jpg", "1.jpg", "2.jpg")):
            return self.send_error(HTTPStatus.FORBIDDEN)
        return super().reply()


def write_urls(world: pathlib.Path, root: pathlib.Path, address: str) -> pd.DataFrame:
    train = pd.read_csv(world / "metadata" / "train.csv", dtype=str)
    train["url"] = [f"{address}train/{i[0]}/{i[1]}/{i[2]}/{i}.jpg" for i in train["id"]]
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    train.to_csv(root / "metadata" / "train.csv", index=False)
    return train


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discover, "URL_BLOCK", 40)


def fetch(root: pathlib.Path, output: pathlib.Path, address: str, *more: str) -> None:
    host = urllib.parse.urlsplit(address).netloc
    flags = [*FLAGS, "--image_size=64", f"--trusted_hosts={host}", *more]
    download_main([f"--source={root}", f"--output={output}", *flags])


def test_urls_give_the_photos_of_the_tars(world, loose, prepared, tmp_path, small_blocks):
    handler = type("Handler", (Site,), {"agents": set()})
    with http_server.serve(loose, handler=handler) as address:
        train = write_urls(world, tmp_path, address)
        fetch(tmp_path, tmp_path / "out", address)
    ours = read_tables(tmp_path / "out" / "facts")
    theirs = read_tables(prepared / "facts")
    assert ours["id"].tolist() == train["id"].tolist()
    assert ours["unit"].nunique() == -(-len(train) // 40)
    columns = ["id", "status", "reason", "sha256", "phash", "dhash", "width", "height", "bytes"]
    theirs = theirs[theirs["split"] == "train"].sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(
        ours.sort_values("id", ignore_index=True)[columns], theirs[columns]
    )
    assert all("me@example.org" in agent for agent in handler.agents)
    curate_main([f"--source={tmp_path}", f"--output={tmp_path / 'out'}", "--split=train"])
    assert read_tables(tmp_path / "out" / "decisions")["keep"].sum() > 100


def test_lanes_and_a_retry_give_the_same_bytes(world, loose, tmp_path, small_blocks, capsys):
    handler = type("Handler", (Site,), {"agents": set()})
    with http_server.serve(loose, handler=handler) as address:
        write_urls(world, tmp_path, address)
        fetch(tmp_path, tmp_path / "good", address)
        handler.refuses = True
        fetch(tmp_path, tmp_path / "bad", address, "--url_workers=3")
        refused = read_tables(tmp_path / "bad" / "facts")["reason"].eq("unreachable").sum()
        assert refused > 10
        printed = capsys.readouterr().out
        assert f"{refused} photos could not be reached; run again with --retry_rejected" in printed
        assert "found no URLs of test photos; continuing without" in printed

        handler.refuses = False
        before = digests(tmp_path / "bad")
        fetch(tmp_path, tmp_path / "bad", address, "--url_workers=3")
        assert digests(tmp_path / "bad") == before
        fetch(tmp_path, tmp_path / "bad", address, "--retry_rejected")
    assert digests(tmp_path / "bad", *FILES) == digests(tmp_path / "good", *FILES)
    for path in (tmp_path / "bad" / "staged").glob("*.done.json"):
        done = json.loads(path.read_text())
        assert "unreachable" not in done["rejected"]


def test_a_private_address_is_refused_unless_trusted(world, loose, tmp_path):
    handler = type("Handler", (Site,), {"agents": set()})
    with http_server.serve(loose, handler=handler) as address:
        write_urls(world, tmp_path, address)
        fetch(tmp_path, tmp_path / "out", address, "--trusted_hosts=")
    assert set(read_tables(tmp_path / "out" / "facts")["reason"]) == {"forbidden_address"}
    assert not handler.agents


def test_a_source_without_urls_is_refused(loose, tmp_path):
    with pytest.raises(UserError, match=r"row 1: .*url not in"):
        download_main([f"--source={loose}", f"--output={tmp_path}", *FLAGS])
