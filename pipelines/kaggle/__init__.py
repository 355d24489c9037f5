"""Kaggle's submissions and solutions (gld2 validate-submission). No Beam.

csv_rows: CSVs of ids and numbers as columns, with their malformed rows.
ids: the ids that a submission must have.
submission: submission and solution files, read, checked and written.
checks: what Kaggle would reject in a submission.
options: the flags of gld2 validate-submission.
validate: the command line.
"""
