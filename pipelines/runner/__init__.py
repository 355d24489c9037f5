"""Beam: its flags, runs, partitions and progress.

options: Beam's own flags.
engine: runs a pipeline on any engine, with counters.
partition: tables regrouped by a key between workers.
progress: the progress bar.
transform: the base of PTransforms that are dataclasses.
"""
