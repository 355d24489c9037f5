"""Fuzzing that learns which inputs reach new code (atheris), ten minutes at a time: make fuzz.

corpus: small photos and tars of our own drawing, from which a run starts.
images: what holds of a photo, whatever its bytes are.
tars: what holds of an archive, whatever its bytes are.
promise: what a target has beside its function: broken promises, and what a process says.
engine: a process that fuzzes one target; keeps what breaks a promise, and goes on.
run: starts engines until the time is over, and reads what they did.
memory: the corpus decoded again and again: the peak of memory stays where it was.
`python -m tests.fuzz images --seconds 600` fuzzes photos; `--replay FILE` tries files again.
"""
