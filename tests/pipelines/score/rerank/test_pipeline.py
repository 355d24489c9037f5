"""gld2 embed and gld2 score --rerank, against the same figures by other ways."""

from __future__ import annotations

import json
import pathlib
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.kaggle import submission
from pipelines.score import command as score_command
from pipelines.score.rerank import embed, nearest_neighbours, reranking
from pipelines.storage import tf_example, tfrecord
from tests.conftest import digests
from tests.pipelines.conftest import kaggle_layout, read_shards
from tests.pipelines.exports import SIZE, VERSION
from tests.pipelines.score.test_command import TWO
from trainer.data import preprocessing


@pytest.fixture(scope="module")
def export(keras_export: pathlib.Path) -> pathlib.Path:
    return keras_export


@pytest.fixture(scope="module")
def train(prepared, export, tmp_path_factory) -> pathlib.Path:
    """What gld2 embed leaves of the train photos."""
    output = tmp_path_factory.mktemp("train") / "embeddings"
    words = [f"--images={prepared}/dataset", "--split=train", f"--model={export}"]
    assert embed.main([*words, f"--output={output}"]) == 0
    return output


def predicted(export: pathlib.Path, records: list[dict], layer: str = "") -> np.ndarray:
    """The model's scores, or what a layer of it gives, by Keras alone."""
    model = keras.saving.load_model(export / "model.keras")
    if layer:
        model = keras.Model(model.input, model.get_layer(layer).output)
    pixels = [preprocessing.whole(record[schema.ENCODED], SIZE).numpy() for record in records]
    return model.predict(np.stack(pixels), verbose=0)


def embeddings(export: pathlib.Path, records: list[dict]) -> np.ndarray:
    found = predicted(export, records, "embedding")
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def run(export: pathlib.Path, output: pathlib.Path, *words: str, **flags: object) -> pd.DataFrame:
    words += tuple(f"--{name}={value}" for name, value in flags.items())
    score_command.main([f"--model={export}", f"--output={output}", *words])
    return submission.read(str(output)).set_index("id")


def test_embeddings_are_the_networks_own(prepared, export, train):
    records = read_shards(prepared / VERSION, "train")
    found = pd.concat(map(pd.read_parquet, sorted(train.glob("*.parquet"))))
    assert found["id"].tolist() == [record[schema.IMAGE_ID].decode() for record in records]
    assert found["landmark_id"].tolist() == [record[schema.LANDMARK_ID] for record in records]
    np.testing.assert_allclose(np.stack(found["embedding"]), embeddings(export, records), atol=1e-5)


def test_embedding_again_does_nothing_and_another_model_is_refused(prepared, export, train, capsys):
    words = [f"--images={prepared}/dataset", f"--output={train}"]
    before = digests(train)
    embed.main([*words, "--split=train", f"--model={export}"])
    assert "every photo was scored before" in capsys.readouterr().out
    assert digests(train) == before
    with pytest.raises(UserError, match=r"inputs\.json: made with another model"):
        embed.main([*words, "--split=train", f"--model={_other(export, train)}"])


def _other(export: pathlib.Path, beside: pathlib.Path) -> pathlib.Path:
    """The same model, with landmarks of its own."""
    folder = beside.parent / "other"
    shutil.copytree(export, folder, dirs_exist_ok=True)
    labels = (folder / "labels.csv").read_text().replace("\n0,", "\n0,9")
    (folder / "labels.csv").write_text(labels)
    return folder


@pytest.mark.parametrize("given", [False, True])
def test_reranked_scores_by_another_way(prepared, export, train, world, tmp_path, given):
    """All similarities at once, each step as it is told; non-landmarks given or chosen."""
    flags: dict[str, object] = {"images": prepared / "dataset", "train": train}
    test, index = read_shards(prepared / VERSION, "test"), read_shards(prepared / VERSION, "train")
    queries, rows = embeddings(export, test), embeddings(export, index)
    plain = run(export, tmp_path / "plain.csv", images=prepared / "dataset")
    ids = [record[schema.IMAGE_ID].decode() for record in test]
    if given:
        kaggle_layout(world, tmp_path / "kaggle")
        folder = tmp_path / "kaggle" / "test"
        flags["non_landmarks"] = folder
        paths = [folder / i[0] / i[1] / i[2] / f"{i}.jpg" for i in ids]
        assert all(path.exists() for path in paths)
        other = queries  # under other ids: each photo meets itself there
        own = np.zeros((len(ids), len(ids)), bool)
    else:
        half = sorted(ids, key=lambda i: (plain.loc[i, "score"], i))[: len(ids) // 2]
        other = queries[[ids.index(i) for i in half]]
        own = np.array([[i == j for j in half] for i in ids])
    found = run(export, tmp_path / "s.csv", "--rerank=retrieval", classifier_weight=0.5, **flags)
    to_other = np.where(own, -np.inf, queries @ other.T)
    of_index = -np.sort(-(rows @ other.T), axis=1)[:, : reranking.OF_NEIGHBOUR].mean(axis=1)
    landmarks = np.array([record[schema.LANDMARK_ID] for record in index])
    classes = pd.read_csv(export / "labels.csv")["landmark_id"].to_numpy()
    probabilities = predicted(export, test)
    for n, image_id in enumerate(ids):
        near = np.argsort(-(queries[n] @ rows.T))[: reranking.NEIGHBOURS]
        likely = dict(sorted(zip(classes, probabilities[n], strict=True), key=lambda p: -p[1])[:5])
        sums = {landmarks[row]: 0.5 * likely.get(landmarks[row], 0.0) for row in near}
        for row in near:
            sums[landmarks[row]] += max(0.0, queries[n] @ rows[row]) - of_index[row]
        best = max(sums, key=sums.__getitem__)
        mine = -np.sort(-to_other[n])[: reranking.OF_PHOTO].mean()
        assert found.loc[image_id, "landmark_id"] == best
        assert found.loc[image_id, "score"] == pytest.approx(sums[best] - mine, abs=1e-4)


def test_train_photos_are_embedded_where_they_are_not_yet(prepared, export, train, tmp_path):
    flags = {"images": prepared / "dataset", "rerank": "retrieval"}
    run(export, tmp_path / "a.csv", train=train, **flags)
    run(export, tmp_path / "b.csv", train=prepared / "dataset", **flags)
    first = (tmp_path / "a.csv").read_bytes()
    assert (tmp_path / "b.csv").read_bytes() == first
    run(export, tmp_path / "b.csv", train=prepared / "dataset", **flags)
    assert (tmp_path / "b.csv").read_bytes() == first


@pytest.mark.slow
def test_workers_change_nothing(prepared, export, train, tmp_path):
    flags = {"images": prepared / "dataset", "rerank": "retrieval", "train": train}
    run(export, tmp_path / "a.csv", **flags)
    run(export, tmp_path / "b.csv", **flags, **TWO)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_train_photos_that_are_not_all_embedded_are_refused(prepared, export, train, tmp_path):
    shutil.copytree(train, tmp_path / "train")
    (tmp_path / "train" / "units.json").unlink()  # it comes last
    with pytest.raises(UserError, match="not all photos are embedded yet"):
        run(export, tmp_path / "s.csv", "--rerank=retrieval",
            images=prepared / "dataset", train=tmp_path / "train")  # fmt: skip


def test_other_photos_under_the_same_ids_are_compared_anew(
    prepared, export, train, world, tmp_path
):
    kaggle_layout(world, tmp_path / "kaggle")
    flags = {"train": train, "non_landmarks": tmp_path / "kaggle" / "test", "rerank": "retrieval"}
    records = read_shards(prepared / VERSION, "test")
    pixels = [record[schema.ENCODED] for record in records]
    outputs = []
    for turned in (0, 1):  # each photo under the id of the one before it
        for name in ("a", "b")[turned:]:
            shard = tmp_path / name / "gld2-test.tfrecord-00000-of-00001"
            shard.parent.mkdir(exist_ok=True)
            with shard.open("wb") as file:
                for record, photo in zip(records, np.roll(pixels, turned), strict=True):
                    file.write(tfrecord.frame(tf_example.encode(record | {schema.ENCODED: photo})))
            outputs.append(tmp_path / f"{name}.csv")
            run(export, outputs[-1], images=shard.parent, **flags)
    assert len({path.read_bytes() for path in outputs}) == 2
    run(export, tmp_path / "fresh.csv", images=tmp_path / "b", **flags)
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_small_blocks_of_queries_change_nothing(prepared, export, train, tmp_path, monkeypatch):
    flags = {"images": prepared / "dataset", "rerank": "retrieval", "train": train}
    run(export, tmp_path / "a.csv", **flags)
    monkeypatch.setattr("pipelines.score.rerank.pipeline.QUERIES", 7)
    monkeypatch.setattr(nearest_neighbours, "ROWS", 13)
    found = run(export, tmp_path / "b.csv", **flags)
    expected = submission.read(str(tmp_path / "a.csv")).set_index("id")
    assert (found["landmark_id"] == expected["landmark_id"]).all()
    np.testing.assert_allclose(found["score"], expected["score"], atol=2e-6)


def test_common_landmarks_go_last(prepared, export, tmp_path):
    images = prepared / "dataset"
    plain = run(export, tmp_path / "a.csv", images=images)
    counts = plain["landmark_id"].value_counts()
    assert counts.min() <= 3 < counts.max()
    for few in (plain, plain[plain["landmark_id"] != counts.idxmax()][:-1]):  # of what is listed
        few.reset_index()[["id"]].to_csv(tmp_path / "ids.csv", index=False)
        found = run(
            export,
            tmp_path / "b.csv",
            images=images,
            max_predictions_per_landmark=3,
            ids=tmp_path / "ids.csv",
        )
        common = few["landmark_id"].map(few["landmark_id"].value_counts()) > 3
        assert 0 < common.sum() < len(few)
        assert found.loc[common, "score"].max() < found.loc[~common, "score"].min()
        assert (found.loc[~common, "score"] == few.loc[~common, "score"]).all()


@pytest.mark.parametrize("name", ["top.csv", "top.parquet"])
def test_top_k_beside_the_submission(prepared, export, tmp_path, name):
    path = tmp_path / name
    flags = {"top_k": 3, "top_k_output": path}
    found = run(export, tmp_path / "s.csv", images=prepared / "dataset", **flags)
    top = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    records = read_shards(prepared / VERSION, "test")
    probabilities = predicted(export, records)
    classes = pd.read_csv(export / "labels.csv")["landmark_id"].to_numpy()
    assert len(top) == 3 * len(found)
    for record, row in zip(records, probabilities, strict=True):
        mine = top[top["id"] == record[schema.IMAGE_ID].decode()]
        assert mine["rank"].tolist() == [1, 2, 3]
        assert mine["landmark_id"].tolist() == classes[np.argsort(-row)[:3]].tolist()
        np.testing.assert_allclose(mine["score"], -np.sort(-row)[:3], atol=1e-5)


def test_train_photos_without_landmarks_are_refused(prepared, export, tmp_path):
    words = [f"--images={prepared}/staged", "--split=train", f"--model={export}"]
    embed.main([*words, f"--output={tmp_path / 'staged'}"])
    with pytest.raises(UserError, match="expected photos of known landmarks"):
        run(export, tmp_path / "s.csv", "--rerank=retrieval", images=prepared / "dataset",
            train=tmp_path / "staged")  # fmt: skip


def test_embeddings_of_another_model_are_refused(prepared, export, train, tmp_path):
    with pytest.raises(UserError, match=r"--train .*: embeddings of another model"):
        run(_other(export, tmp_path / "x"), tmp_path / "s.csv", "--rerank=retrieval",
            images=prepared / "dataset", train=train)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rerank=retrieval"], "expected --train"),
        (["--train=x"], "expected --rerank retrieval"),
        (["--top_k_output=top.txt"], "expected .csv or .parquet"),
        (["--max_predictions_per_landmark=0"], "expected at least 1"),
    ],
)
def test_flags_that_make_no_sense(export, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        run(export, tmp_path / "s.csv", *words, images=tmp_path)


def test_what_is_no_photo_in_a_folder_is_rejected(prepared, export, train, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "page.jpg").write_bytes(b"<html>")
    (folder / "notes.txt").write_text("none of ours")
    flags = {"images": prepared / "dataset", "train": train, "non_landmarks": folder}
    with pytest.raises(UserError, match="no photo could be embedded"):
        run(export, tmp_path / "s.csv", "--rerank=retrieval", **flags)
    (line,) = (tmp_path / "s.non_landmarks").glob("*.rejects.jsonl")
    assert json.loads(line.read_text())["reason"] == "not_an_image"
