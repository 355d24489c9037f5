"""gld2 score: every listed id gets its row, and the scores are the model's own."""

from __future__ import annotations

import json
import pathlib
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.kaggle import submission
from pipelines.sample.world import Summary
from pipelines.score import command as score_command
from pipelines.score.model import CHUNK
from pipelines.source import metadata_csv
from pipelines.storage import tf_example, tfrecord
from tests.conftest import ROOT, digests
from tests.pipelines.conftest import kaggle_layout, read_rejects, read_shards, read_tables
from tests.pipelines.exports import SIZE, VERSION
from trainer.data import preprocessing
from trainer.export import make_saved_model

TWO = {"direct_num_workers": 2, "direct_running_mode": "multi_processing"}


class Colours(tf.Module):
    """Scores classes by the mean colour of a photo: quick, and different for each."""

    PIXELS = tf.TensorSpec([None, 1, 1, 3], tf.float32, name="pixels")

    def __init__(self, classes: int):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weights = tf.Variable(rng.normal(size=(3, classes)), dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="image")])
    def preprocess(self, image):
        photo = tf.cast(tf.io.decode_jpeg(image, channels=3), tf.float32)
        return {"pixels": tf.reduce_mean(photo, axis=[0, 1], keepdims=True)}

    @tf.function(input_signature=[PIXELS])
    def score(self, pixels):
        return {"scores": tf.nn.softmax((pixels[:, 0, 0] / 128 - 1) @ self.weights)}

    @tf.function(input_signature=[PIXELS])
    def embed(self, pixels):
        embedding = tf.math.l2_normalize(pixels[:, 0, 0], axis=-1)
        return self.score(pixels) | {"embedding": embedding}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def serve(self, image):
        means = tf.map_fn(
            lambda data: self.preprocess(data)["pixels"], image, fn_output_signature=tf.float32
        )
        return self.score(means)

    @classmethod
    def export(cls, dataset: pathlib.Path, folder: pathlib.Path) -> None:
        """Writes what gld2 train would, of a model for the classes of a dataset."""
        folder.mkdir(exist_ok=True)
        for name in ("labels.csv", "stats.json"):
            shutil.copy(dataset / name, folder)
        model = cls(len(pd.read_csv(folder / "labels.csv")))
        signatures = {name: getattr(model, name) for name in ("preprocess", "score", "embed")}
        signatures["serving_default"] = model.serve
        tf.saved_model.save(model, str(folder / "saved_model"), signatures=signatures)


@pytest.fixture(scope="module")
def export(prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("job") / "export"
    Colours.export(prepared / VERSION, folder)
    return folder


@pytest.fixture(scope="module")
def plain(prepared: pathlib.Path, keras_export: pathlib.Path) -> str:
    """The submission as Keras' own predict has it, over the same normalised photos."""
    records = read_shards(prepared / VERSION, "test")
    pixels = [preprocessing.whole(record[schema.ENCODED], SIZE).numpy() for record in records]
    # As many as fill the last batch: a smaller one would be summed in another order.
    pixels += [pixels[-1]] * (-len(pixels) % CHUNK)
    model = keras.saving.load_model(keras_export / "model.keras")
    scores = model.predict(np.stack(pixels), verbose=0)
    landmarks = pd.read_csv(keras_export / "labels.csv")["landmark_id"].to_numpy()
    rows = {
        record[schema.IMAGE_ID].decode(): f"{landmarks[row.argmax()]} {row.max():.6f}"
        for record, row in zip(records, scores, strict=False)
    }
    return "".join(["id,landmarks\n", *(f"{i},{rows[i]}\n" for i in sorted(rows))])


def run(export: object, output: pathlib.Path, **flags: object) -> pd.DataFrame:
    words = [f"--{name}={value}" for name, value in flags.items()]
    score_command.main([f"--model={export}", f"--output={output}", *words])
    return submission.read(str(output))


@pytest.fixture(scope="module")
def scored(url: str, export: pathlib.Path, tmp_path_factory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("scored") / "submission.csv"
    run(export, output, source=url)
    return output


def test_rows_are_the_listed_ids_in_their_order(url: str, scored: pathlib.Path):
    listed = [
        image_id for block in metadata_csv.ids(f"{url}metadata/test.csv") for image_id in block
    ]
    assert submission.read(str(scored))["id"].tolist() == listed


def test_cells_are_what_the_model_says_of_the_staged_photos(prepared, export, scored):
    model = tf.saved_model.load(str(export / "saved_model"))
    landmarks = pd.read_csv(export / "labels.csv")["landmark_id"]
    found = submission.read(str(scored)).set_index("id")
    records = read_shards(prepared / VERSION, "test")
    for record in records:
        scores = model.serve(tf.constant([record[schema.ENCODED]]))["scores"].numpy()[0]
        row = found.loc[record[schema.IMAGE_ID].decode()]
        assert row["landmark_id"] == landmarks[scores.argmax()]
        assert row["score"] == pytest.approx(scores.max(), abs=1e-6)
    assert found["score"].notna().sum() == len(records)


def test_what_cannot_be_read_is_an_empty_cell_and_a_reject(summary: Summary, scored):
    found = submission.read(str(scored)).set_index("id")
    rejects = read_rejects(scored.with_suffix(".rejects.jsonl"))
    corrupt = set(summary.test_faults["corrupt"])
    assert {reject["id"] for reject in rejects} == corrupt
    assert {reject["stage"] for reject in rejects} == {"score"}
    assert found.loc[list(corrupt), "score"].isna().all()


THREADS = {"direct_num_workers": 2, "direct_running_mode": "multi_threading"}
PREPARED = ("", "/staged", "/dataset", f"/{VERSION}")


@pytest.mark.parametrize(
    "flags",
    [
        {"source": "{url}", "batch_size": 7},
        {"source": "{url}"} | THREADS,
        {"source": "{kaggle}"},
        {"source": "{world}", "images": "{prepared}/dataset"},
        *({"ids": "{world}/metadata/test.csv", "images": "{prepared}" + p} for p in PREPARED),
    ],
    ids=str,
)
def test_the_same_wherever_photos_and_ids_lie_and_whatever_the_batches_and_workers(
    url, world, prepared, export, scored, tmp_path, flags
):
    kaggle_layout(world, tmp_path / "kaggle")
    places = {"url": url, "world": world, "prepared": prepared, "kaggle": tmp_path / "kaggle"}
    run(export, tmp_path / "s.csv", **{k: str(v).format(**places) for k, v in flags.items()})
    assert (tmp_path / "s.csv").read_bytes() == scored.read_bytes()


def test_validation_photos_are_scored_without_a_list(prepared, export, tmp_path):
    found = run(export, tmp_path / "s.csv", images=prepared / "dataset", split="validation")
    decisions = read_tables(prepared / "decisions")
    assert found["id"].tolist() == sorted(decisions.loc[decisions["split"] == "validation", "id"])


def test_ids_without_an_image_and_images_without_an_id(prepared, export, tmp_path, capsys):
    ids = [r[schema.IMAGE_ID].decode() for r in read_shards(prepared / VERSION, "test")]
    listed = ["f" * 16, *ids[1:]]
    (tmp_path / "ids.csv").write_text("\n".join(["id", *listed]) + "\n")
    images, listing = prepared / "dataset", tmp_path / "ids.csv"
    found = run(export, tmp_path / "s.csv", images=images, ids=listing)
    assert found["id"].tolist() == listed
    assert pd.isna(found.loc[0, "score"])
    assert f"{len(ids) - 1} predicted + 0 unreadable + 1 without" in capsys.readouterr().out
    (reject,) = read_rejects(tmp_path / "s.rejects.jsonl")
    assert (reject["id"], reject["reason"]) == (ids[0], "not_listed")


def cut_short(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def leave_no_model(path: pathlib.Path) -> None:
    path.unlink()
    (path.parents[1] / "model.keras").unlink()


def one_fewer(path: pathlib.Path) -> None:
    path.write_text(path.read_text().rpartition("\n11,")[0] + "\n")


NO_MODEL = "expected a model that gld2 train exported"


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("saved_model/saved_model.pb", cut_short, NO_MODEL),
        ("saved_model/saved_model.pb", leave_no_model, NO_MODEL),
        ("saved_model/variables/variables.data-00000-of-00001", cut_short, NO_MODEL),
        ("labels.csv", one_fewer, r"12 classes, but labels\.csv has 11"),
        ("labels.csv", lambda path: path.write_bytes(b"\xff\xfe"), r"labels\.csv: expected the h"),
        (
            "labels.csv",
            lambda path: path.write_text(f"label,landmark_id,images\n0,{10**19},1\n"),
            "row 2: expected three int",
        ),
        ("stats.json", lambda path: path.write_text("{}"), r"stats\.json: expected `photos`"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    prepared, keras_export, tmp_path, name, spoil, message
):
    other = shutil.copytree(keras_export, tmp_path / "export")
    spoil(other / name)
    with pytest.raises(UserError, match=message):
        run(other, tmp_path / "s.csv", images=prepared / "dataset")
    assert not (tmp_path / "s.csv").exists()


def test_a_model_that_scores_nan_is_refused(prepared, keras_export, tmp_path):
    other = tmp_path / "export"
    shutil.copytree(keras_export, other)
    model = keras.saving.load_model(other / "model.keras")
    last = model.layers[-1]
    last.set_weights([np.full_like(each, np.nan) for each in last.get_weights()])
    model.save(other / "model.keras")
    make_saved_model(f"{other}/model.keras", f"{other}/saved_model")
    with pytest.raises(UserError, match="expected a finite score, found nan; check the model"):
        run(other, tmp_path / "s.csv", images=prepared / "dataset")
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("lay_out", "name"),
    [(shutil.copytree, "metadata/test.csv"), (kaggle_layout, "sample_submission.csv")],
    ids=["tars", "kaggle"],
)
def test_listed_ids_that_the_source_has_no_image_of_are_empty(
    world, keras_export, tmp_path, lay_out, name
):
    lay_out(world, tmp_path / "root")
    listing = tmp_path / "root" / name
    listed = pd.read_csv(listing)["id"].tolist()
    added = ["0" * 16, "f" * 16]
    listing.write_text("\n".join(["id", added[0], *listed, added[1]]) + "\n")
    found = run(keras_export, tmp_path / "s.csv", source=tmp_path / "root").set_index("id")
    assert found.index.tolist() == [added[0], *listed, added[1]]
    assert found.loc[added, "score"].isna().all()
    counts = json.loads((tmp_path / "s.counts.json").read_text())
    assert counts["without_image"] == 2
    assert counts["unreadable"] == 1
    assert counts["predicted"] == found["score"].notna().sum() == len(listed) - 1


def test_a_photo_that_could_not_be_reached_is_tried_again(world, export, tmp_path):
    kaggle_layout(world, tmp_path / "root")
    undisturbed, output = tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv"
    run(export, undisturbed, source=tmp_path / "root")
    path = next((tmp_path / "root" / "test").rglob("*.jpg"))
    photo = path.read_bytes()
    path.unlink()
    path.mkdir()  # what is there and cannot be read
    found = run(export, output, source=tmp_path / "root").set_index("id")
    assert pd.isna(found.loc[path.stem, "score"])
    rejects = read_rejects(tmp_path / "b/s.rejects.jsonl")
    assert (path.stem, "unreachable") in [(row["id"], row["reason"]) for row in rejects]
    path.rmdir()
    path.write_bytes(photo)
    run(export, output, source=tmp_path / "root")
    assert digests(output.parent) == digests(undisturbed.parent)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"ids": "repeated.csv"}, r"repeated\.csv row 4: expected each id once"),
        ({"ids": "none.csv"}, r"none\.csv: expected ids, one to a row, found none"),
        ({"ids": "garbled.csv"}, r"garbled\.csv row 2: expected an id of 16 hex, found 'x'"),
        ({"output": "folder"}, "--output .*folder: expected the name of a file, found a folder"),
        ({"output": "none.csv/s.csv"}, r"none\.csv: cannot be made a folder"),
        ({"limit": 3}, "--archives and --limit are for --source"),
        ({"classifier_weight": 2}, "--classifier_weight: expected --rerank retrieval"),
    ],
)
def test_mistakes_are_told_before_a_photo_is_scored(prepared, export, tmp_path, flags, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "none.csv").write_text("id\n")
    (tmp_path / "repeated.csv").write_text(f"id\n{'0' * 16}\n{'1' * 16}\n{'0' * 16}\n")
    (tmp_path / "garbled.csv").write_text("id\nx\n")
    paths = {name: tmp_path / flags[name] for name in ("ids", "output") if name in flags}
    changed = {"output": tmp_path / "s.csv"} | flags | paths
    with pytest.raises(UserError, match=message):
        run(export, images=prepared / "dataset", **changed)
    assert not list(tmp_path.rglob("*.parts"))


@pytest.mark.parametrize("record", [b"\xff\xff", tf_example.encode({schema.ENCODED: b"no id"})])
def test_records_of_another_kind_are_refused(export, tmp_path, record):
    (tmp_path / "gld2-test.tfrecord-00000-of-00001").write_bytes(tfrecord.frame(record))
    with pytest.raises(UserError, match=r"00000-of-00001: expected records with .*make it again"):
        run(export, tmp_path / "s.csv", images=tmp_path)


def test_no_archive_can_be_read(world, export, tmp_path):
    shutil.copytree(world, tmp_path / "root")
    for tar in (tmp_path / "root" / "test").glob("*.tar"):
        tar.write_bytes(b"<html>")
    flags = {"source": tmp_path / "root", "attempts": 1, "top_k_output": tmp_path / "top.csv"}
    with pytest.raises(UserError, match="no photo could be scored"):
        run(export, tmp_path / "s.csv", **flags)


def test_an_archive_that_is_damaged_is_empty_cells_until_it_is_mended(
    world, keras_export, tmp_path, capsys
):
    undisturbed, output = tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv"
    run(keras_export, undisturbed, source=world)
    shutil.copytree(world, tmp_path / "root")
    tar = tmp_path / "root" / "test" / "images_001.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:5000])
    flags = {"source": tmp_path / "root", "attempts": 1}
    found = run(keras_export, output, **flags)
    expected = submission.read(str(undisturbed))
    assert found["id"].tolist() == expected["id"].tolist()
    assert 0 < found["score"].notna().sum() < expected["score"].notna().sum()
    assert "1 units could not be read (test-images_001)" in capsys.readouterr().out
    rejects = read_rejects(output.with_suffix(".rejects.jsonl"))
    assert [(r["reason"], r["stage"]) for r in rejects if r["unit"] == "test-images_001"] == [
        ("bad_archive", "score")
    ]
    tar.write_bytes(whole)
    run(keras_export, output, **flags)
    assert digests(output.parent, "*.csv", "*.json*") == digests(
        undisturbed.parent, "*.csv", "*.json*"
    )


def test_a_split_that_is_not_there_is_refused(export, tmp_path):
    with pytest.raises(UserError, match="found no staged or sharded test photos"):
        run(export, tmp_path / "s.csv", images=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [{}, {"batch_size": 1}, {"batch_size": 100}, {"threads": 3}, TWO])
def test_cells_are_those_of_keras_predict(prepared, keras_export, plain, tmp_path, flags):
    run(keras_export, tmp_path / "s.csv", images=prepared / "dataset", **flags)
    assert (tmp_path / "s.csv").read_text() == plain


@pytest.mark.parametrize("place", ["", "/saved_model"])
def test_an_export_and_its_saved_model_are_the_same(prepared, keras_export, plain, tmp_path, place):
    run(f"{keras_export}{place}", tmp_path / "s.csv", images=prepared / "dataset")
    assert (tmp_path / "s.csv").read_text() == plain


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "/model.keras"])
def test_a_keras_file_alone_is_refused_with_the_command_that_exports_it(
    prepared, keras_export, plain, tmp_path, place
):
    other, output = tmp_path / "my export", tmp_path / "s.csv"
    shutil.copytree(keras_export, other, ignore=shutil.ignore_patterns("saved_model"))
    _export_as_told(f"{other}{place}", output, prepared)
    run(other, output, images=prepared / "dataset")
    assert output.read_text() == plain


@pytest.mark.slow
def test_a_saved_model_of_an_earlier_version_is_refused_with_the_command_that_exports_it(
    prepared, keras_export, plain, tmp_path
):
    """It had no signature `preprocess`, and its `embed` took the bytes of photos."""
    other, output = tmp_path / "export", tmp_path / "s.csv"
    shutil.copytree(keras_export, other)
    model = Colours(12)
    signatures = {"serving_default": model.serve, "embed": model.serve}
    tf.saved_model.save(model, str(other / "saved_model"), signatures=signatures)
    _export_as_told(other, output, prepared)
    run(other, output, images=prepared / "dataset")
    assert output.read_text() == plain


def _export_as_told(model: object, output: pathlib.Path, prepared: pathlib.Path) -> None:
    """Scores with a model that is refused, and runs the command that the error gives."""
    with pytest.raises(UserError, match="signatures preprocess, score, embed") as caught:
        run(model, output, images=prepared / "dataset")
    assert not output.exists()
    assert "\n" not in str(caught.value)
    python, *words = shlex.split(str(caught.value).partition("make it with: ")[2])
    assert (python, *words[:2]) == ("python", "-m", "trainer.export")
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def test_what_tensorflow_cannot_read_fails_no_other(
    prepared, keras_export, export, plain, tmp_path
):
    """Records that pass their CRC and hold half a JPEG, an HTML page, nothing."""
    records = read_shards(prepared / VERSION, "test")
    bad = {3: records[3][schema.ENCODED][:300], 5: b"<html>", 8: b""}
    with (tmp_path / "gld2-test.tfrecord-00000-of-00001").open("wb") as file:
        for number, record in enumerate(records):
            changed = record | ({schema.ENCODED: bad[number]} if number in bad else {})
            file.write(tfrecord.frame(tf_example.encode(changed)))
    ids = [record[schema.IMAGE_ID].decode() for record in records]
    empty = {ids[number] for number in bad}
    for model in (keras_export, export):
        output = tmp_path / model.parent.name / "s.csv"
        found = run(model, output, images=tmp_path)
        assert found["id"].tolist() == sorted(ids)
        assert set(found.loc[found["score"].isna(), "id"]) == empty
        rejects = read_rejects(output.with_suffix(".rejects.jsonl"))
        assert {reject["id"] for reject in rejects} == empty
        assert {reject["reason"] for reject in rejects} == {"undecodable"}
        if model == keras_export:
            expected = [row for row in plain.splitlines() if row[:16] not in empty]
            rows = output.read_text().splitlines()
            assert [row for row in rows if row[:16] not in empty] == expected


def test_an_empty_split_is_said(keras_export, tmp_path, capsys):
    (tmp_path / "gld2-test.tfrecord-00000-of-00001").write_bytes(b"")
    with pytest.raises(UserError, match=r"no photo could be scored; .*s\.rejects\.jsonl"):
        run(keras_export, tmp_path / "s.csv", images=tmp_path)
    assert "scored before" not in capsys.readouterr().out
    assert not (tmp_path / "s.csv").exists()


def test_predictions_of_another_model_are_made_anew(
    prepared, keras_export, export, plain, tmp_path, capsys
):
    images = prepared / "dataset"
    run(export, tmp_path / "s.csv", images=images)
    run(keras_export, tmp_path / "s.csv", images=images)
    assert (tmp_path / "s.csv").read_text() == plain
    assert "was made with another model" in capsys.readouterr().out
    run(keras_export, tmp_path / "s.csv", images=images)
    assert "every photo was scored before" in capsys.readouterr().out
    assert (tmp_path / "s.csv").read_text() == plain


def test_predictions_of_other_photos_are_made_anew(prepared, export, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for split in ("validation", "test"):
        (shard,) = (prepared / VERSION).glob(f"gld2-{split}.tfrecord-*")
        shutil.copy(shard, photos / "gld2-test.tfrecord-00000-of-00001")
        run(export, tmp_path / "s.csv", images=photos)
    run(export, tmp_path / "fresh.csv", images=photos)
    assert (tmp_path / "s.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
