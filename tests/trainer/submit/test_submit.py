"""`gld2 submit` from its command line: what it refuses, and what it prints without sending."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.cloud import aiplatform_v1, tpu_v2

from pipelines.common.errors import UserError
from pipelines.main import run
from tests.conftest import ROOT
from tests.trainer.submit.conftest import TPU, TRAIN, VERTEX


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A machine without credentials."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # is not on Google Cloud, and need not ask


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (TPU, tpu_v2.CreateQueuedResourceRequest),
        (VERTEX, aiplatform_v1.CreateCustomJobRequest),
    ],
)
def test_dry_run_prints_the_request_and_needs_no_credentials(target, kind, nobody, capsys):
    assert run("submit", [*target, "--dry_run", "--wait", "--", *TRAIN]) == 0
    printed = capsys.readouterr()
    request = kind.from_json(printed.out)
    assert request.parent.startswith("projects/project-1/locations/europe-west4")
    assert "gs://bucket/dataset" in printed.out
    assert printed.err == ""
    run("submit", [*target, "--dry_run", "--", *TRAIN])
    assert capsys.readouterr().out == printed.out


@pytest.mark.parametrize("target", [TPU, VERTEX])
def test_no_credentials_is_one_line(target, nobody, capsys):
    assert run("submit", [*target, "--", *TRAIN]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "no Google Cloud credentials: run gcloud auth application-default login" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*TPU], "expected -- and the flags of gld2 train"),
        ([*TPU, "--"], "expected -- and the flags of gld2 train"),
        ([*TPU, "--spto", "--", *TRAIN], "--spto"),
        ([*TPU, "--", *TRAIN, "--bakbone=vgg16"], "flags of gld2 train: .*--bakbone"),
        ([*TPU, "--", *TRAIN, "--batch_size=0"], "flags of gld2 train: --batch_size"),
        ([*TPU, "--", *TRAIN, "--device=gpu"], "--device gpu: the machine has a tpu"),
        (
            [*TPU, "--", *TRAIN, "--backbone=efficientnet_lite0"],
            "--weights imagenet: none are published",
        ),
        ([*TPU, "--", *TRAIN, "--data=/tmp/d"], "--data /tmp/d: expected gs://"),
        ([*TPU, "--", *TRAIN, "--job_dir=job"], "--job_dir job: expected gs://"),
        ([*TPU, "--", *TRAIN, "--weights=w.h5"], "--weights w.h5: expected gs://"),
        ([*TPU, "--", *TRAIN, "--weights=gs://b/\udcff.h5"], "UTF-8"),
        ([*TPU, "--project=A", "--", *TRAIN], "--project"),
        ([*TPU, "--name=run/1", "--", *TRAIN], "--name"),
        ([*TPU, "--name=run-1\n", "--", *TRAIN], "--name"),
        ([*TPU, "--staging=bucket", "--", *TRAIN], "--staging"),
        ([*TPU, "--attempts=0", "--", *TRAIN], "--attempts"),
        ([*TPU, "--poll_seconds=0", "--", *TRAIN], "--poll_seconds"),
        ([*TPU, "--zone=europe-west4", "--", *TRAIN], "--zone"),
        ([*TPU, "--accelerator=v3", "--", *TRAIN], "--accelerator"),
        ([*TPU, "--accelerator=v9-8", "--", *TRAIN], "--runtime_version"),
        ([*TPU, "--package=gld2", "--", *TRAIN], "--package"),
        ([*TPU, "--package=/no/gld2.whl", "--", *TRAIN], "no such file"),
        ([*TPU, "--valid_until_hours=0", "--", *TRAIN], "--valid_until_hours"),
        ([*TPU, "--valid_until_hours=nan", "--", *TRAIN], "--valid_until_hours"),
    ],
)
def test_a_mistake_is_named_before_anything_is_sent(words, expected, nobody, capsys):
    assert run("submit", words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("gld2 submit: error: ")
    with pytest.raises(UserError, match=expected):
        raise UserError(line)


@pytest.mark.parametrize("target", ["tpu", "vertex"])
def test_each_way_has_help_with_examples(target, capsys):
    with pytest.raises(SystemExit) as caught:
        run("submit", [target, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "--dry_run" in text and f"gld2 submit {target} --project" in text


def test_it_imports_neither_beam_nor_tensorflow():
    modules = "trainer.submit.command, trainer.submit.tpu_vm, trainer.submit.vertex"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"apache_beam", "tensorflow_transform", "tensorflow", "keras", "jax"} & set(loaded)


def test_a_missing_library_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.cloud.tpu_v2", None)
    monkeypatch.delitem(sys.modules, "trainer.submit.tpu_vm", raising=False)
    assert run("submit", [*TPU, "--dry_run", "--", *TRAIN]) == 2
    assert "with its extra 'submit'" in capsys.readouterr().err
