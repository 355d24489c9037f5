"""Stage 1, gld2 download: tars, folders or URLs become staged photos and facts.

options: the flags, and how units are staged.
inputs: the source and the staging options that the flags give.
pipeline: the Beam pipeline over units.
staging: one unit becomes TFRecords, facts and rejects.
resume: the results of an earlier run of a unit.
unit_reader: the photos of a unit, from a tar, files or URLs.
ordered_map: a function over photos in threads, in order.
tar_reader: the members of an untrusted tar.
url_fetcher: photos from their URLs, in parallel and in order.
rate_limit: the rate of requests to each host, and opt-out headers.
ssrf_guard: checked URLs, and connections to public addresses alone.
command: the command line.
"""
