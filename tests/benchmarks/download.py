"""How fast gld2 download is, beside img2dataset and beside a bare loop of the same work.

    python -m tests.benchmarks.download --images 3000 --img2dataset PATH_TO_ITS_COMMAND

All three take the same real photos, from the same loopback server, with two processes:
(a) gld2 download, from tars; (b) img2dataset, from URLs, with the same size, quality and sha256;
(c) the same decoding, resizing, hashing and encoding with nothing around it. Start-up is the wall
time of the same command on two photos; it is taken off. Peak memory is that of the largest
process, and of all together, sampled.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import pathlib
import shutil
import tarfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.imaging.normalize import normalize
from pipelines.sample import http_server
from pipelines.storage.hashing import sha256
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, beside, in_turns, need, of_each, speed, spread_out
from tests.conftest import MINI

TARS = 10
OURS, OTHER, BARE = "gld2 download", "img2dataset", "bare loop"
NORMAL = NormalizationConfig()
NEEDS = (MINI,)


def photos(root: pathlib.Path = MINI) -> Iterator[bytes]:
    """The train photos, by default the real ones."""
    for path in sorted((root / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                yield tar.extractfile(info).read()  # type: ignore[union-attr]


def lay_out(
    root: pathlib.Path, data: Sequence[bytes], images: int, tars: int, loose: bool = True
) -> list[str]:
    """Writes `images` photos as tars with md5s and as loose files; returns the loose paths.

    Each differs from all others, in a comment of the JPEG at the least; ten show a landmark.
    """
    for folder in ("metadata", "train", "md5sum/train", "loose"):
        (root / folder).mkdir(parents=True)
    ids = [spread_out(n) for n in range(images)]
    rows = "".join(f"{image_id},,{n // 10}\n" for n, image_id in enumerate(ids))
    (root / "metadata" / "train.csv").write_text("id,url,landmark_id\n" + rows)
    paths = [f"loose/{image_id}.jpg" for image_id in ids if loose]
    for number in range(tars):
        path = root / "train" / f"images_{number:03d}.tar"
        with tarfile.open(path, "w") as tar:
            for n in range(number, images, tars):
                photo = commented(data[n % len(data)], ids[n])
                info = tarfile.TarInfo(f"{'/'.join(ids[n][:3])}/{ids[n]}.jpg")
                info.size = len(photo)
                tar.addfile(info, io.BytesIO(photo))
                if loose:
                    (root / paths[n]).write_bytes(photo)
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        (root / "md5sum" / "train" / f"md5.{path.stem}.txt").write_text(f"{digest}  {path.name}\n")
    return paths


def commented(jpeg: bytes, text: str) -> bytes:
    segment = b"\xff\xfe" + (2 + len(text)).to_bytes(2, "big") + text.encode()
    return jpeg[:2] + segment + jpeg[2:]


def gld2(url: str, output: pathlib.Path) -> Cost:
    shutil.rmtree(output, ignore_errors=True)
    words = [f"--source={url}", f"--output={output}", "--split=train", "--direct_num_workers=2"]
    return costs.gld2("download", *words, "--direct_running_mode=multi_processing")


def img2dataset(command: str, urls: Sequence[str], folder: pathlib.Path) -> Cost:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "urls.txt").write_text("\n".join(urls) + "\n")
    return costs.run(
        [
            *(command, f"--url_list={folder / 'urls.txt'}", f"--output_folder={folder / 'out'}"),
            *("--output_format=files", "--processes_count=2", "--thread_count=32"),
            *("--image_size=384", "--resize_mode=keep_ratio_largest"),
            *("--resize_only_if_bigger=True", "--encode_quality=90", "--compute_hash=sha256"),
            *("--enable_wandb=False", f"--number_sample_per_shard={max(1, len(urls) // TARS)}"),
        ]
    )


def bare(data: list[bytes]) -> float:
    """The same work with nothing around it; returns its seconds of CPU."""
    started = time.process_time()
    for one in data:
        hashlib.md5(one).hexdigest()
        sha256(one)
        normalize(one, NORMAL)
    return time.process_time() - started


def bare_run(data: Sequence[bytes], images: int) -> Cost:
    every = [data[n % len(data)] for n in range(images)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(bare, [every[:20], every[:20]], chunksize=1)  # imported, and warm
        started = time.perf_counter()
        cpu = sum(pool.map(bare, [every[i::TARS] for i in range(TARS)], chunksize=1))
        return Cost(time.perf_counter() - started, cpu)


def psnr(data: Sequence[bytes]) -> float:
    """Median dB of our result against Pillow's Lanczos, on every fifth photo."""
    found = []
    for one in data[::5]:
        ours = Image.open(io.BytesIO(normalize(one, NORMAL).jpeg))
        best = (
            Image.open(io.BytesIO(one)).convert("RGB").resize(ours.size, Image.Resampling.LANCZOS)
        )
        error = np.asarray(ours, float) - np.asarray(best, float)
        found.append(10 * np.log10(255**2 / np.mean(error**2)))
    return float(np.median(found))


def measure(
    folder: pathlib.Path, images: int, rounds: int, other: str | None = None
) -> dict[str, list[Cost]]:
    """What one photo took of each in each round, start-up taken off."""
    data = list(photos())
    paths = lay_out(folder / "many", data, images, TARS)
    lay_out(folder / "few", data, 2, 2)
    with http_server.serve(folder) as url:
        urls = [f"{url}many/{path}" for path in paths]
        starts = {OURS: gld2(f"{url}few", folder / "a")}
        works = {OURS: lambda: gld2(f"{url}many", folder / "a")}
        if other:
            starts[OTHER] = img2dataset(other, urls[:2], folder / "b")
            works[OTHER] = lambda: img2dataset(other, urls, folder / "b")
        works[BARE] = lambda: bare_run(data, images)
        found = in_turns(works, rounds)
    print(*(f"start-up of {name}: {start.seconds:.1f} s" for name, start in starts.items()))
    return {
        name: of_each(runs, images, [starts[name]] if name in starts else [])
        for name, runs in found.items()
    }


def ratios() -> dict[str, list[float]]:
    with costs.scratch() as folder:
        found = measure(folder, 900, 3)
    return {"speed beside a bare loop": speed(found[OURS], found[BARE], "cpu")}


def main() -> None:
    parser = costs.parser(__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--img2dataset", help="path of its command, in an environment of its own")
    args = parser.parse_args()
    need(NEEDS)
    with costs.scratch() as folder:
        found = measure(folder, args.images, args.rounds, args.img2dataset)
    data = list(photos())
    size = np.mean([len(one) for one in data]) / 1e3
    print(f"{args.images} photos, {size:.0f} KB on average")
    costs.report(found)
    for name in found.keys() - {OURS}:
        beside(found, OURS, name)
    print(f"PSNR against Lanczos: {psnr(data):.1f} dB at the median")


if __name__ == "__main__":
    main()
