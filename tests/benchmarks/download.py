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
import dataclasses
import hashlib
import io
import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import psutil
from PIL import Image

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.imaging.normalize import normalize
from pipelines.storage.hashing import sha256
from tests.conftest import MINI, ROOT

TARS = 10
NORMAL = NormalizationConfig()
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


@dataclasses.dataclass
class Run:
    """One finished command: wall seconds, and megabytes at its peak."""

    seconds: float
    largest: float = 0.0
    together: float = 0.0


def run(words: Sequence[str]) -> Run:
    """Runs a command, sampling the memory of all its processes."""
    started = time.perf_counter()
    found = Run(0.0)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
        threading.Thread(target=_sample, args=(process.pid, found), daemon=True).start()
        if process.wait():
            log.seek(0)
            sys.exit(log.read().decode()[-3000:])
    found.seconds = time.perf_counter() - started
    return found


def _sample(pid: int, found: Run) -> None:
    try:
        root = psutil.Process(pid)
        while True:
            sizes = [p.memory_info().rss / 1e6 for p in [root, *root.children(recursive=True)]]
            found.largest = max(found.largest, *sizes)
            found.together = max(found.together, sum(sizes))
            time.sleep(0.2)
    except psutil.NoSuchProcess:
        return


def gld2(url: str, output: pathlib.Path, workers: int = 2) -> Run:
    shutil.rmtree(output, ignore_errors=True)
    words = [sys.executable, "-m", "pipelines.main", "download", f"--source={url}"]
    words += [f"--output={output}", "--split=train", f"--direct_num_workers={workers}"]
    return run([*words, "--direct_running_mode=multi_processing"])


def img2dataset(command: str, urls: Sequence[str], folder: pathlib.Path) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "urls.txt").write_text("\n".join(urls) + "\n")
    return run(
        [
            *(command, f"--url_list={folder / 'urls.txt'}", f"--output_folder={folder / 'out'}"),
            *("--output_format=files", "--processes_count=2", "--thread_count=32"),
            *("--image_size=384", "--resize_mode=keep_ratio_largest"),
            *("--resize_only_if_bigger=True", "--encode_quality=90", "--compute_hash=sha256"),
            *("--enable_wandb=False", f"--number_sample_per_shard={max(1, len(urls) // TARS)}"),
        ]
    )


def bare(data: list[bytes]) -> None:
    """The same work with nothing around it."""
    for one in data:
        hashlib.md5(one).hexdigest()
        sha256(one)
        normalize(one, NORMAL)


def bare_rate(data: Sequence[bytes], images: int) -> float:
    every = [data[n % len(data)] for n in range(images)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(bare, [every[:20], every[:20]], chunksize=1)  # imported, and warm
        started = time.perf_counter()
        pool.map(bare, [every[i::TARS] for i in range(TARS)], chunksize=1)
        return images / (time.perf_counter() - started)


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


def measure(args: argparse.Namespace, folder: pathlib.Path) -> None:
    data = photos()
    loose = lay_out(folder / "many", data, args.images, TARS)
    lay_out(folder / "few", data, 2, 2)
    rates: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    memory: dict[str, Run] = {}
    for url in serving(folder):
        start_a = gld2(f"{url}few", folder / "a").seconds
        start_b = 0.0
        if args.img2dataset:
            two = [f"{url}many/{path}" for path in loose[:2]]
            start_b = img2dataset(args.img2dataset, two, folder / "b").seconds
        for _ in range(args.rounds):
            memory["a"] = gld2(f"{url}many", folder / "a")
            rates["a"].append(args.images / (memory["a"].seconds - start_a))
            if args.img2dataset:
                urls = [f"{url}many/{path}" for path in loose]
                memory["b"] = img2dataset(args.img2dataset, urls, folder / "b")
                rates["b"].append(args.images / (memory["b"].seconds - start_b))
            rates["c"].append(bare_rate(data, args.images))
    print(f"{args.images} photos, {np.mean([len(d) for d in data]) / 1e3:.0f} KB on average")
    print(f"start-up: gld2 {start_a:.1f} s, img2dataset {start_b:.1f} s")
    for name, what in (("a", "gld2 download"), ("b", "img2dataset"), ("c", "bare loop")):
        if rates[name]:
            low, mid, high = (float(f(rates[name])) for f in (np.min, np.median, np.max))
            used = memory.get(name)
            peak = f", {used.largest:.0f} MB largest, {used.together:.0f} MB all" if used else ""
            print(f"({name}) {what:14} {mid:6.0f} images/s ({low:.0f} to {high:.0f}){peak}")
    for over in "bc":
        if rates[over]:
            ratios = np.array(rates["a"]) / np.array(rates[over])
            print(
                f"(a)/({over}) {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
            )
    print(f"PSNR against Lanczos: {psnr(data):.1f} dB at the median")


def measure_memory(folder: pathlib.Path) -> None:
    """Peak memory of one worker process over the size and the number of tars."""
    data = photos()
    size = np.mean([len(one) for one in data])
    for megabytes, tars in ((100, 1), (1000, 1), (1000, 10), (1000, 40)):
        root = folder / f"{megabytes}-{tars}"
        images = int(megabytes * 1e6 / size)
        lay_out(root, data, images, tars, loose=False)
        words = [sys.executable, "-m", "pipelines.main", "download", f"--source={root}"]
        used = run([*words, f"--output={folder / 'out'}", "--split=train"])
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
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as folder:
        if args.memory:
            measure_memory(pathlib.Path(folder))
        else:
            measure(args, pathlib.Path(folder))


if __name__ == "__main__":
    main()
