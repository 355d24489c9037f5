"""How fast gld2 download is, beside img2dataset and beside a bare loop of the same work.

    python -m tests.benchmarks.download --images 3000 --img2dataset PATH_TO_ITS_COMMAND
    python -m tests.benchmarks.download --memory

All three take the same real photos, from the same loopback server, with two processes:
(a) gld2 download, from tars; (b) img2dataset, from URLs, with the same size, quality and sha256;
(c) the same decoding, resizing, hashing and encoding with nothing around it. Start-up is the wall
time of the same command on two photos; it is taken off. Peak memory is that of the largest
process, and of all together, sampled. --memory shows it for tars of 100 MB and 1 GB, and for few
and many tars.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.imaging.normalize import normalize
from pipelines.storage.hashing import sha256
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, in_turns, need, speed, spread, without
from tests.conftest import MINI, ROOT

TARS = 10
OURS, OTHER, BARE = "gld2 download", "img2dataset", "bare loop"
NORMAL = NormalizationConfig()
NEEDS = (MINI,)
SERVE = (
    "import sys, time; from pipelines.sample import http_server as server\n"
    "with server.serve(sys.argv[1]) as url: print(url, flush=True); sys.stdin.read()"
)


def photos() -> list[bytes]:
    """The real train photos."""
    found = []
    for path in sorted((MINI / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [tar.extractfile(info).read() for info in tar]  # type: ignore[union-attr]
    return found


def lay_out(
    root: pathlib.Path, data: Sequence[bytes], images: int, tars: int, loose: bool = True
) -> list[str]:
    """Writes `images` photos as tars with md5s and as loose files; returns the loose paths."""
    (root / "metadata").mkdir(parents=True)
    (root / "train").mkdir()
    (root / "md5sum" / "train").mkdir(parents=True)
    ids = [hashlib.sha256(str(n).encode()).hexdigest()[:16] for n in range(images)]
    rows = "".join(f"{image_id},1\n" for image_id in ids)
    (root / "metadata" / "train.csv").write_text("id,landmark_id\n" + rows)
    for number in range(tars):
        path = root / "train" / f"images_{number:03d}.tar"
        with tarfile.open(path, "w") as tar:
            for n in range(number, images, tars):
                info = tarfile.TarInfo(f"{'/'.join(ids[n][:3])}/{ids[n]}.jpg")
                info.size = len(data[n % len(data)])
                tar.addfile(info, io.BytesIO(data[n % len(data)]))
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        (root / "md5sum" / "train" / f"md5.{path.stem}.txt").write_text(f"{digest}  {path.name}\n")
    paths = []
    for n, image_id in enumerate(ids if loose else ()):
        path = root / "loose" / f"{image_id}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[n % len(data)])
        paths.append(f"loose/{image_id}.jpg")
    return paths


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


@contextlib.contextmanager
def serving(root: pathlib.Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()  # type: ignore[union-attr]
        process.kill()


def measure(
    folder: pathlib.Path, images: int, rounds: int, other: str | None = None
) -> tuple[dict[str, list[Cost]], dict[str, Cost]]:
    """What each took of each round, start-up taken off, and that start-up."""
    data = photos()
    urls = lay_out(folder / "many", data, images, TARS)
    lay_out(folder / "few", data, 2, 2)
    with serving(folder) as url:
        urls = [f"{url}many/{path}" for path in urls]
        starts = {OURS: gld2(f"{url}few", folder / "a"), BARE: Cost(0.0)}
        works = {OURS: lambda: gld2(f"{url}many", folder / "a")}
        if other:
            starts[OTHER] = img2dataset(other, urls[:2], folder / "b")
            works[OTHER] = lambda: img2dataset(other, urls, folder / "b")
        works[BARE] = lambda: bare_run(data, images)
        found = in_turns(works, rounds)
    return {n: [without(one, starts[n]) for one in runs] for n, runs in found.items()}, starts


def report(found: dict[str, list[Cost]], starts: dict[str, Cost], images: int) -> None:
    size = np.mean([len(one) for one in photos()]) / 1e3
    print(f"{images} photos, {size:.0f} KB on average")
    print(
        "start-up: " + ", ".join(f"{name} {start.seconds:.1f} s" for name, start in starts.items())
    )
    for name, runs in found.items():
        rates = spread([images / one.seconds for one in runs], ".0f")
        used = [max(getattr(one, peak) for one in runs) for peak in ("largest", "together")]
        peak = f", {used[0]:.0f} MB largest, {used[1]:.0f} MB all" if used[0] else ""
        print(f"{name:14} {rates} images/s{peak}")
    for name in found.keys() - {OURS}:
        print(f"{OURS} / {name}: {spread(speed(found[OURS], found[name]), '.2f')}")
    print(f"PSNR against Lanczos: {psnr(photos()):.1f} dB at the median")


def ratios() -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as folder:
        found, _ = measure(pathlib.Path(folder), 900, 3)
    return {"speed beside a bare loop": speed(found[OURS], found[BARE], "cpu")}


def measure_memory(folder: pathlib.Path) -> None:
    """Peak memory of one worker process over the size and the number of tars."""
    data = photos()
    size = np.mean([len(one) for one in data])
    for megabytes, tars in ((100, 1), (1000, 1), (1000, 10), (1000, 40)):
        root = folder / f"{megabytes}-{tars}"
        images = int(megabytes * 1e6 / size)
        lay_out(root, data, images, tars, loose=False)
        words = [f"--source={root}", f"--output={folder / 'out'}", "--split=train"]
        used = costs.gld2("download", *words)
        print(
            f"{tars:3} tars, {megabytes:5} MB in all: {used.largest:.0f} MB at the peak, "
            f"{images / used.seconds:.0f} images/s with start-up",
            flush=True,
        )
        shutil.rmtree(root)
        shutil.rmtree(folder / "out")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--img2dataset", help="path of its command, in an environment of its own")
    parser.add_argument("--memory", action="store_true")
    args = parser.parse_args()
    need(NEEDS)
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as folder:
        if args.memory:
            measure_memory(pathlib.Path(folder))
        else:
            found = measure(pathlib.Path(folder), args.images, args.rounds, args.img2dataset)
            report(*found, args.images)


if __name__ == "__main__":
    main()
