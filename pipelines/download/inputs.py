"""Derives the source and the staging options of a download from its flags."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.download.options import DownloadOptions, StagingOptions
from pipelines.runner.options import decoding_threads
from pipelines.source.discover import Source, discover_source, discover_urls
from pipelines.source.staged_units import print_absent


def find_source(options: DownloadOptions) -> Source:
    """Returns the source that the flags name; prints which parts it lacks.

    Raises:
      UserError: the source has no photos of the splits, or does not answer.
    """
    if options.urls.from_urls:
        workers = options.urls.url_workers
        source = discover_urls(options.source.source, options.splits.split, workers)
    else:
        source = discover_source(
            options.source.source, options.splits.split, options.source.archives
        )
    print_absent(source)
    return source


def staging_options(options: DownloadOptions, beams: PipelineOptions) -> StagingOptions:
    """Returns the options by which workers stage units."""
    return StagingOptions(
        attempts=options.fetch.attempts,
        threads=decoding_threads(options.fetch.threads, beams),
        urls=options.urls if options.urls.from_urls else None,
        retry_rejected=options.urls.retry_rejected,
        accepted_md5=dict(item.split("=") for item in options.fetch.accept_md5),
    )
