"""What several tests share: real photos where they are, and commands run as a user runs them."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
MINI = SHARED / "gld2-mini"
WEIGHTS = SHARED / "weights"

needs_shared = pytest.mark.skipif(
    not MINI.is_dir(), reason="needs the real photos of ../shared, which are not there"
)


def gld2(*argv: object, check: bool = True, **flags: object) -> subprocess.CompletedProcess:
    """Runs the gld2 command in a process of its own."""
    words = [*map(str, argv), *(f"--{name}={value}" for name, value in flags.items())]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.main", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    if check and done.returncode:
        raise AssertionError(f"gld2 {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done


def digests(folder: pathlib.Path, *patterns: str) -> dict[str, str]:
    """sha256 of each file below a folder that fits one of the patterns."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns or ("**/*",)
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }
