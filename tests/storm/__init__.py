"""Whole runs of gld2 prepare and gld2 score in bad weather, each made from one integer.

plan: what a seed stands for.
disk: files that fail, and processes that are killed at one of their operations.
weather: what goes wrong with a server's answers.
run: one storm, from its start to the comparison with a calm run.
`python -m tests.storm --seeds 20` runs some; `--seed 7` replays one.
"""
