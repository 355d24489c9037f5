"""The script that a TPU worker boots with, really run, on a PATH with stand-ins for its tools."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Sequence

import pytest

from pipelines.common.errors import UserError
from trainer.submit import startup

VALUES = {
    "name": "run-1",
    "project": "project",
    "zone": "europe-west4-a",
    "job_dir": "gs://bucket/job",
    "package": "gs://bucket/staging/gld2-0.1.0-py3-none-any.whl",
    "constraints": "gs://bucket/staging/constraints.txt",
    "delete_when_done": "",
}
TRAIN = ["gld2", "train", "--device", "tpu", "--data", "gs://bucket/d"]
HOSTILE = [
    "two words",
    "it's",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "two\nlines",
    "back\\slash",
    "*",
    "",
    "$HOME",
    "é",
    "!!",
    "')",
]

# Each stand-in notes its words, with a NUL after each and an empty line after the last.
NOTE = """#!/bin/bash
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\n\\n'; } >> "$CALLS"
"""
STAND_INS = {
    # Copies between the worker and a folder that stands for gs://.
    "gcloud": NOTE
    + """
[[ $1 == storage ]] || exit 0
to="${@: -1}" from="${@: -2:1}"
if [[ $to == gs://* ]]; then
    to="$BUCKETS/${to#gs://}"
    mkdir -p "$(dirname "$to")"
    if [[ $from == - ]]; then cat > "$to"; else cp "$from" "$to"; fi
else
    for file in "${@:4:$#-4}"; do cp "$BUCKETS/${file#gs://}" "$to"; done
fi
""",
    "curl": NOTE
    + """
case "${@: -1}" in
    */attributes/agent-worker-number) echo -n "$WORKER" ;;
    */attributes/worker-network-endpoints) echo -n "$ENDPOINTS" ;;
    *) exit 22 ;;
esac
""",
    # pip, which brings uv, which makes an environment and installs gld2.
    "python3": NOTE
    + """
[[ $INSTALLS == yes ]] || exit 2
mkdir -p "$7/bin" && cp "$LATER/uv" "$7/bin/"
""",
    # Its environments have a python3 too, without pip.
    "uv": NOTE
    + """
[[ $1 == venv ]] || exit 0
bin="${@: -1}/bin"
mkdir -p "$bin" && cp "$LATER/gld2" "$bin/"
echo 'echo "No module named pip"; exit 1' > "$bin/python3" && chmod +x "$bin/python3"
""",
    # Ends as the next line of a file says, after as many seconds.
    "gld2": NOTE
    + """
echo "training, PYTHONUNBUFFERED=$PYTHONUNBUFFERED"
env | grep KERAS_DISTRIBUTION | sort
read -r code seconds < "$CODES"; sed -i 1d "$CODES"
echo $(($(cat "$CLOCK") + seconds)) > "$CLOCK"
exit "$code"
""",
    "date": '#!/bin/bash\nexec /bin/date -u -d "@$(cat "$CLOCK")" "${@: -1}"\n',
    "sleep": NOTE + 'exec /bin/sleep "$([[ $1 == 60 ]] && echo 60 || echo 0)"\n',
}

INSTALLED = ("uv", "gld2")  # not there at first


class Worker:
    """A worker's disk, its tools and what they were asked."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.bucket = folder / "buckets" / "bucket"
        for name, text in STAND_INS.items():
            path = folder / ("later" if name in INSTALLED else "bin") / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (self.bucket / "staging").mkdir(parents=True)
        for name in ("gld2-0.1.0-py3-none-any.whl", "constraints.txt"):
            (self.bucket / "staging" / name).write_text(name)

    def boot(
        self,
        codes: Sequence[int],
        command: Sequence[str] = TRAIN,
        worker: str = "0",
        endpoints: str = "10.0.0.2",
        installs: str = "yes",
        seconds: int = 5,
        now: int = 1_000_000_000,
        **values: str,
    ) -> subprocess.CompletedProcess:
        """Runs the script; the trainer ends with one of the codes each time that it is started.

        Each time it runs for some seconds, on a clock that stands still otherwise.
        """
        (self.folder / "codes").write_text("".join(f"{code} {seconds}\n" for code in codes))
        (self.folder / "clock").write_text(f"{now}\n")
        (self.folder / "calls").write_text("")
        script = self.folder / "startup-script"
        home = str(self.folder / "opt")
        script.write_text(startup.script(command, home=home, **(VALUES | values)))
        subprocess.run(["bash", "-n", str(script)], check=True)
        return subprocess.run(
            ["bash", str(script)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "CALLS": str(self.folder / "calls"),
                "CLOCK": str(self.folder / "clock"),
                "CODES": str(self.folder / "codes"),
                "LATER": str(self.folder / "later"),
                "BUCKETS": str(self.folder / "buckets"),
                "WORKER": worker,
                "ENDPOINTS": endpoints,
                "INSTALLS": installs,
            },
        )

    def calls(self, tool: str) -> list[list[str]]:
        noted = (self.folder / "calls").read_text().split("\0\n\n")[:-1]
        return [words[1:] for note in noted if (words := note.split("\0"))[0] == tool]

    def pauses(self) -> list[str]:
        """Between tries; the log is copied every 60 seconds."""
        return [seconds for (seconds,) in self.calls("sleep") if seconds != "60"]

    def logs(self) -> list[pathlib.Path]:
        return sorted((self.bucket / "job" / "submit").glob("*.log"))


@pytest.fixture
def worker(tmp_path: pathlib.Path) -> Worker:
    return Worker(tmp_path)


def test_it_installs_what_was_staged_and_trains(worker: Worker):
    done = worker.boot([0])
    opt = worker.folder / "opt"
    assert done.returncode == 0
    assert worker.calls("python3") == [
        [
            *("-m", "pip", "install", "--quiet", "--upgrade", "--target", f"{opt}/tools"),
            f"uv=={startup.UV}",
        ]
    ]
    venv, install = worker.calls("uv")
    assert venv == ["venv", "--quiet", "--allow-existing", "--python", "3.11", f"{opt}/venv"]
    assert install == [
        *("pip", "install", "--quiet", "--python", f"{opt}/venv", "-c", f"{opt}/constraints.txt"),
        f"gld2[tpu] @ file://{opt}/gld2-0.1.0-py3-none-any.whl",
    ]
    assert (opt / "gld2-0.1.0-py3-none-any.whl").read_text() == "gld2-0.1.0-py3-none-any.whl"
    assert worker.calls("gld2") == [TRAIN[1:]]


def test_the_log_is_on_the_console_and_in_the_job_dir(worker: Worker):
    done = worker.boot([0])
    [log] = worker.logs()
    assert log.name.startswith("run-1-worker-0-")
    assert log.read_text() in done.stdout
    assert "training, PYTHONUNBUFFERED=1" in log.read_text()
    assert log.read_text().endswith("gld2: worker 0 ended with 0\n")


def test_words_and_paths_are_not_read_by_a_shell(worker: Worker):
    job_dir = "gs://bucket/it's a $(touch pwned) `job`"
    assert worker.boot([0], [*TRAIN, *HOSTILE], job_dir=job_dir).returncode == 0
    assert worker.calls("gld2") == [[*TRAIN[1:], *HOSTILE]]
    assert list((worker.folder / "buckets" / job_dir[5:] / "submit").glob("*.log"))
    assert not list(worker.folder.rglob("pwned"))


def test_a_failure_is_tried_again_with_growing_pauses(worker: Worker):
    done = worker.boot([1, 137, 0])
    assert done.returncode == 0
    assert len(worker.calls("gld2")) == 3
    assert worker.pauses() == ["20", "40"]
    assert "ended with 137" in worker.logs()[0].read_text()
    assert not (worker.bucket / "job" / "submit" / "run-1.failed").exists()


@pytest.mark.parametrize(
    ("codes", "tries"), [([2, 0], 1), ([1] * 9, startup.TRIES)], ids=["a mistake", "failures"]
)
def test_it_gives_up_and_says_so(worker: Worker, codes: list[int], tries: int):
    done = worker.boot(codes)
    assert done.returncode == codes[0]
    assert len(worker.calls("gld2")) == tries
    note = (worker.bucket / "job" / "submit" / "run-1.failed").read_text()
    assert f"ended with {codes[0]}" in note


def test_tries_are_counted_anew_after_a_long_run(worker: Worker):
    done = worker.boot([1] * 9 + [0], seconds=3600)
    assert done.returncode == 0
    assert worker.pauses() == ["20"] * 9


def test_an_installation_that_fails_is_tried_again(worker: Worker):
    done = worker.boot([0], installs="no")  # pip ends with 2, which is no mistake of the user
    assert done.returncode == 1
    assert len(worker.calls("python3")) == startup.TRIES
    assert worker.calls("gld2") == []


@pytest.mark.parametrize("code", [0, 2])
def test_it_deletes_the_tpu_where_asked(worker: Worker, code: int):
    worker.boot([code], delete_when_done="yes")
    assert worker.calls("gcloud")[-1] == [
        *("compute", "tpus", "queued-resources", "delete", "run-1", "--project=project"),
        *("--zone=europe-west4-a", "--force", "--quiet", "--async"),
    ]


@pytest.mark.parametrize("endpoints", ["10.0.0.2,10.0.0.3", "a:7:10.0.0.2,b:8:10.0.0.3"])
def test_the_hosts_of_a_slice_are_told_where_to_meet(worker: Worker, endpoints: str):
    printed = worker.boot([0], worker="1", endpoints=endpoints).stdout
    assert "KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.2:8482\n" in printed
    assert "KERAS_DISTRIBUTION_NUM_PROCESSES=2\n" in printed
    assert "KERAS_DISTRIBUTION_PROCESS_ID=1\n" in printed


def test_what_is_not_asked_for_is_not_done(worker: Worker):
    done = worker.boot([0], constraints="")
    assert done.returncode == 0
    assert "-c" not in worker.calls("uv")[1]
    assert not (worker.folder / "opt" / "constraints.txt").exists()
    assert "KERAS_DISTRIBUTION" not in done.stdout
    assert not [words for words in worker.calls("gcloud") if words[0] == "compute"]


def test_other_workers_neither_delete_nor_speak_for_the_slice(worker: Worker):
    assert worker.boot([2], worker="3", delete_when_done="yes").returncode == 2
    assert [log.name[:15] for log in worker.logs()] == ["run-1-worker-3-"]
    assert not (worker.bucket / "job" / "submit" / "run-1.failed").exists()
    assert not [words for words in worker.calls("gcloud") if words[0] == "compute"]


def test_a_reboot_runs_it_again_and_keeps_the_first_log(worker: Worker):
    worker.boot([0])
    assert worker.boot([0], now=1_000_086_400).returncode == 0
    assert [log.name for log in worker.logs()] == [
        "run-1-worker-0-20010909T014640Z.log",
        "run-1-worker-0-20010910T014640Z.log",
    ]


def test_its_size_is_bounded():
    with pytest.raises(UserError, match="too long"):
        startup.script(["gld2", "x" * startup.MAX_BYTES], **VALUES)
