"""What --source holds: photos and metadata, divided into units of work.

options: the flags that select a source and its splits.
unit: a unit of the download, and what its records depend on.
metadata_csv: the published CSVs, in checked blocks of rows.
discover: tars, folders or URLs of a source, and their units.
staged_units: the units that are staged already.
"""
