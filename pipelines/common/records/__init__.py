"""The JSON files that one stage writes and another reads.

json_record: writes frozen dataclasses as JSON and reads them, each value checked.
curation: decisions/done.json.
stats: stats.json of a dataset's version.
"""
