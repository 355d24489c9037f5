"""Whether re-ranking helps, and with which weight of the classifier, on train photos alone.

    python -m tests.benchmarks.rerank --splits 8

Of the six landmarks of the real train photos three are learnt, by MobileNetV2 0.35 on seven tenths
of their photos. The other photos of these three, and as many of the other landmarks as the test
split has photos of none (40 for 51), are scored: the classifier has never seen what the latter
show. Nothing of the test split is looked at.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.common import gap, schema
from pipelines.common.labels import Label, format_labels
from pipelines.score.prediction_store import Parts
from pipelines.score.rerank import pipeline as rerank_pipeline
from pipelines.storage import photo_records, tf_example, tfrecord
from tests.benchmarks.costs import need, parser, scratch
from tests.conftest import MINI, gld2
from tests.test_real_photos import WEIGHTS_035

LEARNT, SHARE, UNKNOWN = 3, 0.7, 40 / 51
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
VERSION = "dataset/gld2/1.0.0"
UNIT = "gld2-test-00000-of-00001"
NEEDS = (MINI, WEIGHTS_035)

Photo = tuple[str, bytes, int]  # id, JPEG, landmark
Photos = dict[int, list[Photo]]  # by landmark
Truth = dict[str, int]  # id -> landmark


def read(version: pathlib.Path) -> Photos:
    """All photos that are labelled."""
    found: Photos = {}
    for split in ("train", "validation"):
        for path in photo_records.find(str(version), split):
            for image_id, encoded, landmark in photo_records.read_labelled(path):
                if landmark is not None:
                    found.setdefault(landmark, []).append((image_id, encoded, landmark))
    return found


def lay_out(folder: pathlib.Path, photos: Photos, known: Sequence[int], seed: int) -> Truth:
    """Writes a dataset with train and test; returns the landmark of each test photo of one."""
    rng = np.random.default_rng(seed)
    train: list[Photo] = []
    test: list[Photo] = []
    for landmark in known:
        order = rng.permutation(len(photos[landmark]))
        cut = int(SHARE * len(order))
        train += [photos[landmark][n] for n in order[:cut]]
        test += [photos[landmark][n] for n in order[cut:]]
    others = [photo for landmark in set(photos) - set(known) for photo in photos[landmark]]
    unknown = rng.permutation(len(others))[: int(UNKNOWN * len(test))]
    truth = {photo[0]: photo[2] for photo in test}
    test += [others[n] for n in unknown]
    train = [train[n] for n in rng.permutation(len(train))]
    sizes = {
        "train": _write(folder, "train", train, {landmark: n for n, landmark in enumerate(known)}),
        "test": _write(folder, "test", test, {}),
    }
    counts = [sum(photo[2] == landmark for photo in train) for landmark in known]
    labels = [Label(n, *row) for n, row in enumerate(zip(known, counts, strict=True))]
    (folder / "labels.csv").write_text(format_labels(labels))
    stats = json.loads((folder.parents[3] / VERSION / "stats.json").read_text())
    stats |= {"splits": sizes, "classes": len(known)}
    (folder / "stats.json").write_text(json.dumps(stats))
    return truth


def _write(
    folder: pathlib.Path, split: str, photos: Sequence[Photo], labels: Mapping[int, int]
) -> dict[str, Any]:
    """Writes one shard; returns what stats.json says of the split."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"gld2-{split}.tfrecord-00000-of-00001").open("wb") as file:
        for image_id, encoded, landmark in photos:
            features: dict[str, Any] = {schema.IMAGE_ID: image_id.encode(), schema.ENCODED: encoded}
            if labels:
                features |= {schema.LABEL: labels[landmark], schema.LANDMARK_ID: landmark}
            file.write(tfrecord.frame(tf_example.encode(features)))
        count = len(photos)
        return {"images": count, "shards": 1, "shard_lengths": [count], "bytes": file.tell()}


def gaps(root: pathlib.Path, truth: Truth, **flags: Any) -> list[float]:
    """Trains and scores; GAP of the classifier alone, then with each weight."""
    data, job, output = root / "dataset", root / "job", root / "s.csv"
    flags |= {"backbone": "mobilenet_v2", "alpha": 0.35, "weights": WEIGHTS_035}
    gld2("train", data=data, job_dir=job, **flags)
    model = job / "export"
    gld2("score", rerank="retrieval", output=output, images=data, model=model, train=data)
    scored = Parts(f"{root}/s.parts")
    table = scored.read(UNIT, "id", "landmark_ids", "scores")
    where = rerank_pipeline.Search(scored, Parts(f"{root}/s.train"), (), f"{root}/s.neighbours")
    classes, scores = (np.stack(table[name].to_numpy()) for name in ("landmark_ids", "scores"))
    answers = [(classes[:, 0], scores[:, 0])]
    answers += [rerank_pipeline.answers(where, UNIT, weight) for weight in WEIGHTS]
    ids = table["id"].to_pylist()
    true = np.array([truth.get(image_id, -1) for image_id in ids])
    ranked = [
        gap.rank(np.array(ids), landmarks, found, landmarks == true, len(truth))
        for landmarks, found in answers
    ]
    return [ranking.gap for ranking in ranked]


def over_splits(splits: int, **flags: Any) -> np.ndarray:
    """[splits, 1 + weights] GAP of each of so many splits."""
    rows = []
    with scratch() as root:
        gld2("prepare", source=MINI, output=root, split="train")
        photos = read(root / VERSION)
        chosen = list(itertools.combinations(sorted(photos), LEARNT))
        order = np.random.default_rng(0).permutation(len(chosen))[:splits]
        for number, split in enumerate(order):
            folder = root / f"split{number}"
            truth = lay_out(folder / VERSION, photos, chosen[split], number)
            rows.append(gaps(folder, truth, **flags))
            print(chosen[split], np.round(rows[-1], 4), flush=True)
    return np.array(rows)


def ratios() -> dict[str, list[float]]:
    found = over_splits(1, head_epochs=1, epochs=1)
    by_weight = dict(zip(WEIGHTS, found.T[1:], strict=True))
    return {
        "GAP of the classifier alone": found[:, 0],
        "GAP re-ranked, beside that": by_weight[1.0] / found[:, 0],
        "GAP by neighbours alone, beside that": by_weight[0.0] / found[:, 0],
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--splits", type=int, default=8, help="of the 20 that there are")
    args = flags.parse_args()
    need(NEEDS)
    found = over_splits(args.splits)
    print(f"classifier alone: GAP {found[:, 0].mean():.4f}")
    for weight, column in zip(WEIGHTS, found.T[1:], strict=True):
        better = (column > found[:, 0]).sum()
        print(f"weight {weight:g}: {column.mean():.4f}, higher in {better} of {len(found)}")


if __name__ == "__main__":
    main()
