"""The jobs that Dataflow would get: built by its own runner, up to where the service is called.

With --template_location, Beam builds a job, puts all that workers need on Cloud Storage (here an
emulator) and writes the job beside it, as the launcher of a flex template has it done.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines import main
from pipelines.storage import filesystem
from tests import installs
from tests.conftest import ROOT

DATAFLOW = [
    "--runner=DataflowRunner",
    "--project=project",
    "--region=europe-west4",
    "--temp_location=gs://bucket/temp",
    "--machine_type=n2-standard-4",
    "--max_num_workers=50",
]
PACKAGES = [
    "--setup_file=./setup.py",
    "--requirements_file=docker/pipelines.txt",
    "--requirements_cache=skip",
]
IMAGE = "europe-west4-docker.pkg.dev/project/gld2/pipelines:1"
KINDS = ("download", "pairs", "curate", "shard", "score")


@dataclasses.dataclass(frozen=True)
class Job:
    """What the service would be sent.

    Attributes:
      environment: the job's, as JSON.
      graph: the pipeline that it points to.
    """

    environment: dict
    graph: beam_runner_api_pb2.Pipeline

    @property
    def pool(self) -> dict:
        (pool,) = self.environment["workerPools"]
        return pool

    @property
    def options(self) -> dict:
        return self.environment["sdkPipelineOptions"]["options"]

    @property
    def packages(self) -> set[str]:
        return {package["name"] for package in self.pool["packages"]}

    def package(self, name: str) -> bytes:
        return filesystem.read(f"{self.options['staging_location']}/{name}")


Build = Callable[..., Job]


@pytest.fixture(scope="module")
def build(bucket: str) -> Build:
    def built(command: str, *flags: str) -> Job:
        template = f"{bucket}/templates/{command}"
        filesystem.remove(template)
        assert main.main([command, *flags, *DATAFLOW, f"--template_location={template}"]) == 0
        job = json.loads(filesystem.read(template))
        graph = filesystem.read(job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"])
        return Job(job["environment"], beam_runner_api_pb2.Pipeline.FromString(graph))

    return built


@pytest.fixture(scope="module")
def copied(
    prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., pathlib.Path]:
    """Copies some folders of a prepared output. Not into the bucket: TFT makes its own folder with
    TensorFlow's client, whose requests leave this machine."""

    def copy(*folders: str) -> pathlib.Path:
        output = tmp_path_factory.mktemp("output")
        for folder in folders:
            shutil.copytree(prepared / folder, output / folder)
        return output

    return copy


@pytest.fixture(scope="module")
def download(build: Build, url: str, bucket: str) -> Job:
    return build("download", f"--source={url}", f"--output={bucket}/new", *PACKAGES)


@pytest.fixture(scope="module")
def jobs(build: Build, download: Job, url: str, copied, bucket: str) -> dict[str, Job]:
    """Every kind of job; those after the first in an image of ours."""
    source, image = f"--source={url}", f"--sdk_container_image={IMAGE}"
    staged, paired = copied("staged", "facts"), copied("staged", "facts", "pairs")
    curated = copied("staged", "facts", "decisions")
    filesystem.write(f"{bucket}/export/labels.csv", "label,landmark_id,images\n0,7,4\n")
    # Nothing runs, so nothing loads it.
    filesystem.write(f"{bucket}/export/saved_model/saved_model.pb", "")
    score = [f"--model={bucket}/export", f"--output={bucket}/submission.csv"]
    return {
        "download": download,
        "pairs": build("curate", source, f"--output={staged}", image),
        "curate": build("curate", source, f"--output={paired}", image),
        "shard": build("shard", f"--output={curated}", image),
        "score": build("score", source, *score, image),
    }


def test_a_dry_run_says_that_nothing_ran(url: str, bucket: str, capsys: pytest.CaptureFixture):
    words = ["download", f"--source={url}", f"--output={bucket}/dry", *DATAFLOW, "--dry_run=true"]
    assert main.main(words) == 0
    assert "the job was built but not run" in capsys.readouterr().out
    assert not filesystem.match(f"{bucket}/dry/**")


GROUPINGS = {  # what test_skew.py counts the groups of
    "pairs": {"GroupBytes", "GroupIds"},
    "curate": {"Join/GroupById/CoGroupByKeyImpl/GroupByKey", "BySha256/Group", "ByLandmark/Group"},
    "shard": {"GroupById/CoGroupByKeyImpl/GroupByKey", "Group"},
}


@pytest.mark.parametrize("kind", GROUPINGS)
def test_nothing_else_is_grouped(jobs: dict[str, Job], kind: str):
    """But by Reshuffle, whose keys are drawn by lot, and by combiners, which add up before."""
    found = {
        step.unique_name.partition("/")[2]
        for step in jobs[kind].graph.components.transforms.values()
        if step.spec.urn == "beam:transform:group_by_key:v1"
    }
    spread = {n for n in found if "Reshuffle" in n or "Combine" in n or n.startswith("Labels/")}
    assert found - spread == GROUPINGS[kind]
    assert spread


@pytest.mark.parametrize("kind", KINDS)
def test_workers(jobs: dict[str, Job], kind: str):
    job = jobs[kind]
    assert job.pool["kind"] == "harness"
    assert job.pool["machineType"] == "n2-standard-4"
    assert job.pool["autoscalingSettings"]["maxNumWorkers"] == 50
    assert {"use_runner_v2", "beam_fn_api"} <= set(job.environment["experiments"])
    assert job.environment["version"]["job_type"] == "FNAPI_BATCH"
    assert job.options["temp_location"].startswith("gs://bucket/temp/")
    assert job.options["save_main_session"] is False


def test_without_an_image_workers_get_the_package_and_what_it_needs(download: Job):
    image = download.pool["workerHarnessContainerImage"]
    assert image == f"gcr.io/cloud-dataflow/v1beta3/beam_python3.11_sdk:{beam.__version__}"
    assert {"workflow.tar.gz", "requirements.txt"} <= download.packages
    assert download.package("requirements.txt") == (ROOT / "docker/pipelines.txt").read_bytes()


@pytest.mark.parametrize("kind", ["pairs", "curate", "shard", "score"])
def test_an_image_of_ours_has_all_that_workers_need(jobs: dict[str, Job], kind: str):
    assert jobs[kind].pool["workerHarnessContainerImage"] == IMAGE
    assert jobs[kind].packages <= {"submission_environment_dependencies.txt"}


@pytest.fixture(scope="module")
def worker(download: Job, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The package as a worker unpacks it."""
    folder = tmp_path_factory.mktemp("worker")
    with tarfile.open(fileobj=io.BytesIO(download.package("workflow.tar.gz"))) as tar:
        tar.extractall(folder, filter="data")
    (package,) = folder.iterdir()
    return package


def test_the_package_installs_with_every_room(download: Job, worker, tmp_path: pathlib.Path):
    assert not (worker / "tests").exists()
    archive, site = tmp_path / "workflow.tar.gz", tmp_path / "site"
    archive.write_bytes(download.package(archive.name))
    installs.unpack(installs.build_wheel(archive, tmp_path), site, *installs.PACKAGES)
    assert installs.files(site) == installs.files(ROOT)


LOAD = """
import pathlib, sys
import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
import pipelines
assert pathlib.Path(pipelines.__file__).is_relative_to(sys.argv[1]), pipelines.__file__
pickler.set_library("cloudpickle")
graph = beam_runner_api_pb2.Pipeline.FromString(sys.stdin.buffer.read())
found = 0
for step in graph.components.transforms.values():
    if step.spec.urn == "beam:transform:pardo:v1":
        fn = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload).do_fn
        if fn.urn == python_urns.PICKLED_DOFN_INFO:
            assert isinstance(pickler.loads(fn.payload)[0], beam.DoFn), step.unique_name
            found += 1
print(found)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_loads_every_step(jobs: dict[str, Job], worker: pathlib.Path, kind: str, tmp_path):
    """In a process that has the package, and nothing else of this repository."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, worker],
        input=jobs[kind].graph.SerializeToString(),
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(worker)},
    )
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) >= 4
