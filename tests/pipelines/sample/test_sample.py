"""The sample world is what it says it is, and the server serves it as a bucket would."""

import collections
import csv
import http.client
import io
import pathlib
import tarfile
import urllib.parse

import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.common.errors import UserError
from pipelines.sample import config, http_server, scenery, structures, world, writer
from pipelines.sample.command import main
from pipelines.sample.config import World
from tests.conftest import digests
from tests.pipelines.conftest import TINY, read_tars

Members = dict[str, bytes]
Rows = list[dict[str, str]]


@pytest.fixture(scope="module", name="root")
def root_fixture(world: pathlib.Path) -> pathlib.Path:
    return world


@pytest.fixture(scope="module")
def train(root: pathlib.Path) -> Members:
    return read_tars(root, "train")


@pytest.fixture(scope="module", name="test")
def members_of_test(root: pathlib.Path) -> Members:
    return read_tars(root, "test")


def read_csv(root: pathlib.Path, path: str) -> Rows:
    with (root / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


# ---- the files


def test_layout(root: pathlib.Path) -> None:
    tars = ["train/images_000", "train/images_001", "train/images_002"]
    tars += ["test/images_000", "test/images_001", "index/images_000"]
    metadata = ["train", "train_clean", "train_attribution", "test", "index"]
    metadata += ["index_image_to_landmark"]
    metadata += [f"{split}_label_to_{x}" for split in ("train", "index")
                 for x in ("category", "hierarchical")]  # fmt: skip
    expected = {f"{tar}.tar" for tar in tars} | {f"metadata/{name}.csv" for name in metadata}
    expected |= {f"md5sum/{tar.replace('images', 'md5.images')}.txt" for tar in tars}
    assert set(digests(root)) == expected | {"ground_truth/recognition_solution_v2.1.csv"}


def test_tars_are_anonymous_and_sorted(root: pathlib.Path) -> None:
    for path in root.rglob("*.tar"):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert [x.name for x in members] == sorted(x.name for x in members)
        assert {(x.mtime, x.uid, x.gid, x.uname, x.gname) for x in members} == {(0, 0, 0, "", "")}


def test_bytes_do_not_depend_on_workers(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    writer.write_world(tmp_path, TINY, workers=2)
    assert digests(tmp_path) == digests(root)


def test_another_seed_is_another_world() -> None:
    first, second = (world.plan_world(World(seed=seed)) for seed in (0, 1))
    ids = [{x.id for x in world.photos["train"]} for world in (first, second)]
    assert not ids[0] & ids[1]
    assert not set(first.summary.landmarks) & set(second.summary.landmarks)


def test_too_small_a_world_is_refused() -> None:
    with pytest.raises(UserError, match="train images"):
        World(train_images=20)


def test_command_prints_counts(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "render", lambda photo: photo.id.encode())
    main(["--output", str(tmp_path), "--train_images", "200", "--workers", "1"])
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    counts = world.plan_world(World(train_images=200)).summary.counts()
    assert printed == {name: str(count) for name, count in counts.items()}


# ---- what the tables say


def test_train_rows(root: pathlib.Path, summary: world.Summary, train: Members) -> None:
    rows = read_csv(root, "metadata/train.csv")
    assert list(rows[0]) == ["id", "url", "landmark_id"]
    assert [row["id"] for row in rows] == sorted(train)
    sizes = collections.Counter(int(row["landmark_id"]) for row in rows)
    assert sizes == {**summary.landmarks, **summary.rare_landmarks}
    assert min(summary.landmarks.values()) >= config.FEWEST
    assert max(summary.rare_landmarks.values()) < 4
    assert max(sizes) < world.LANDMARK_IDS
    schemes = {urllib.parse.urlsplit(row["url"]).scheme for row in rows}
    assert schemes == {"http", "https"}
    assert any("%25" in row["url"] for row in rows)


def test_clean_list(root: pathlib.Path, summary: world.Summary, train: Members) -> None:
    rows = read_csv(root, "metadata/train_clean.csv")
    listed = {image: int(row["landmark_id"]) for row in rows for image in row["images"].split()}
    labels = {r["id"]: int(r["landmark_id"]) for r in read_csv(root, "metadata/train.csv")}
    assert set(listed) - set(train) == set(summary.missing_clean_ids)
    assert {image: labels[image] for image in summary.clean_ids}.items() <= listed.items()
    assert len(listed) == len(summary.clean_ids) + len(summary.missing_clean_ids)
    assert 0.6 < len(summary.clean_ids) / sum(summary.landmarks.values()) < 0.8


def test_attribution_needs_a_csv_reader(root: pathlib.Path) -> None:
    rows = read_csv(root, "metadata/train_attribution.csv")
    assert [r["id"] for r in rows] == [r["id"] for r in read_csv(root, "metadata/train.csv")]
    assert any("," in row["title"] for row in rows) and any("\n" in row["title"] for row in rows)
    assert any('"' in row["author"] for row in rows)


def test_solution(root: pathlib.Path, summary: world.Summary, test: Members) -> None:
    rows = read_csv(root, "ground_truth/recognition_solution_v2.1.csv")
    assert list(rows[0]) == ["id", "landmarks", "Usage"]
    assert [r["id"] for r in rows] == [r["id"] for r in read_csv(root, "metadata/test.csv")]
    assert [row["id"] for row in rows] == sorted(test)
    assert {r["id"] for r in rows if not r["landmarks"]} == set(summary.non_landmarks)
    several = {r["id"] for r in rows if len(r["landmarks"].split()) > 1}
    assert several == set(summary.several_landmarks)
    assert {r["id"] for r in rows if r["Usage"] == "Ignored"} == set(summary.ignored)
    assert {r["Usage"] for r in rows} == {"Public", "Private", "Ignored"}
    known = {str(landmark) for landmark in summary.landmarks}
    assert {landmark for row in rows for landmark in row["landmarks"].split()} <= known


def test_index_tables(root: pathlib.Path) -> None:
    shown = read_csv(root, "metadata/index_image_to_landmark.csv")
    ids = [row["id"] for row in read_csv(root, "metadata/index.csv")]
    assert ids == [row["id"] for row in shown] == sorted(read_tars(root, "index"))
    labels = {row["landmark_id"] for row in read_csv(root, "metadata/index_label_to_category.csv")}
    assert {row["landmark_id"] for row in shown} == labels


# ---- what was planted


def test_images_are_counted(summary: world.Summary, train: Members, test: Members) -> None:
    assert summary.images == {"train": len(train), "test": len(test), "index": 10}
    assert len(test) == TINY.test_images
    assert abs(len(train) - TINY.train_images) < 0.1 * TINY.train_images


def test_byte_identical_are_those_planted(
    summary: world.Summary, train: Members, test: Members
) -> None:
    by_content = collections.defaultdict(set)
    for image, content in (train | test).items():
        if len(content) > len(writer.NOT_FOUND_PAGE):
            by_content[content].add(image)
    planted = [*summary.byte_duplicates, *summary.conflicts]
    planted += [(a, b) for a, b, kind in summary.leaks if kind == "copy"]
    repeated = [ids for ids in by_content.values() if len(ids) > 1]
    assert sorted(map(sorted, repeated)) == sorted(map(sorted, planted))


def test_labels_of_copies(root: pathlib.Path, summary: world.Summary) -> None:
    labels = {r["id"]: r["landmark_id"] for r in read_csv(root, "metadata/train.csv")}
    solution = read_csv(root, "ground_truth/recognition_solution_v2.1.csv")
    truth = {row["id"]: row["landmarks"] for row in solution}
    assert all(labels[a] == labels[b] for a, b in summary.byte_duplicates)
    assert all(labels[a] == labels[b] for a, b, _ in summary.near_duplicates)
    assert all(labels[a] != labels[b] for a, b in summary.conflicts)
    assert all(labels[a] == truth[b] for a, b, _ in summary.leaks)
    trusted = [[image in summary.clean_ids for image in pair] for pair in summary.conflicts]
    assert trusted == [[True, False], [False, False]]


def test_faults(summary: world.Summary, train: Members, test: Members) -> None:
    assert set(summary.train_faults) == set(config.BROKEN + config.ODD)
    assert {len(ids) for ids in summary.train_faults.values()} == {TINY.defects}
    broken = {image for form in config.BROKEN for image in summary.train_faults[form]}
    broken |= set(summary.test_faults["corrupt"])
    unreadable = set()
    for image, content in (train | test).items():
        try:
            load(content)
        except OSError:
            unreadable.add(image)
    assert unreadable == broken


def test_forms_of_faults(summary: world.Summary, train: Members, test: Members) -> None:
    faults = {form: [train[image] for image in ids] for form, ids in summary.train_faults.items()}
    assert set(faults["empty"]) == {b""}
    assert all(content.startswith(b"<!DOCTYPE") for content in faults["not_image"])
    assert all(content.startswith(b"\xff\xd8\xff\xe0") for content in faults["corrupt"])
    for content in faults["truncated"]:
        Image.open(io.BytesIO(content)).verify()  # the header is sound: only loading tells
    assert {load(content).mode for content in faults["palette"]} == {"P"}
    assert {load(content).mode for content in faults["cmyk"]} == {"CMYK"}
    assert {load(content).mode for content in faults["rgba"]} == {"RGBA"}
    for content in [*faults["exif"], *(test[image] for image in summary.test_faults["exif"])]:
        image = load(content)
        assert ImageOps.exif_transpose(image).size == image.size[::-1]
    for content in (b"", writer.NOT_FOUND_PAGE):
        with pytest.raises(UnidentifiedImageError):
            load(content)


# ---- the drawing


@pytest.mark.parametrize("kind", structures.KINDS)
def test_every_kind_can_be_seen(kind: str) -> None:
    size = (96, 72)
    place = structures.build_structure(5, kind)
    assert 0.5 < place.height < 1.8
    bare, built = scenery.photograph(1, size), scenery.photograph(1, size, [place])
    assert built.size == size and built.mode == "RGB"
    assert built.tobytes() == scenery.photograph(1, size, [place]).tobytes() != bare.tobytes()


# ---- the server


@pytest.fixture
def site(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "site"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "digits.bin").write_bytes(b"0123456789")
    (folder / "nothing").touch()
    (tmp_path / "secret").write_text("outside")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


def ask(
    base: str, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    # http.client sends a path as it is; urllib would tidy the dots away
    place = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(place.netloc, timeout=5)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, body, reply.headers


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("rows=0-1", 200, b"0123456789"),
    ],
)
def test_ranges(site: pathlib.Path, asked: str, status: int, body: bytes) -> None:
    with http_server.serve(site) as base:
        got, content, headers = ask(base, "/a%20b/digits.bin", Range=asked)
    assert (got, content, headers["Content-Length"]) == (status, body, str(len(body)))
    if status == 206:
        start = b"0123456789".index(body)
        assert headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/10"
    if status == 416:
        assert headers["Content-Range"] == "bytes */10"


def test_if_range_and_head(site: pathlib.Path) -> None:
    path = "/a%20b/digits.bin?version=2"
    with http_server.serve(site) as base:
        status, body, headers = ask(base, path, "HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", "10")
        same = ask(base, path, Range="bytes=8-", If_Range=headers["ETag"])
        changed = ask(base, path, Range="bytes=8-", If_Range='"other"')
        assert (same[:2], changed[:2]) == ((206, b"89"), (200, b"0123456789"))
        assert ask(base, "/nothing")[:2] == (200, b"")


@pytest.mark.parametrize(
    "path", ["/absent", "/", "/a%20b", "/../secret", "/%2e%2e/secret", "/link", "/%00",
             "//etc/passwd", "/a%20b/../../secret"]
)  # fmt: skip
def test_nothing_else_is_served(site: pathlib.Path, path: str) -> None:
    with http_server.serve(site) as base:
        assert ask(base, path)[0] == 404


def test_a_folder_is_needed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NotADirectoryError), http_server.serve(tmp_path / "absent"):
        pass
