"""Finds the metadata CSVs that curate's filters read."""

from __future__ import annotations

import dataclasses

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.options.curation import FilterOptions
from pipelines.curate.filters import allowed_landmarks
from pipelines.source import metadata_csv
from pipelines.source.discover import Source, find_csv


def with_filters(source: Source, filters: FilterOptions) -> Source:
    """Returns the source with the paths of the CSVs that the filters read.

    A CSV that no filter reads is not looked for, so that no server is asked for it.

    Raises:
      UserError: the source lacks a CSV that a filter needs, or a category that it names.
    """
    if filters.clean_only and not source.clean_csv:
        raise UserError(f"--clean_only: found no {paths.CLEAN_CSV} at {source.root}")
    attribution = categories = None
    if filters.needs_credits:
        flag = "--licences" if filters.licences else "--exclude_author"
        attribution = find_csv(source.root, flag, metadata_csv.ATTRIBUTION, paths.ATTRIBUTION_CSV)
    if filters.categories:
        categories = find_csv(
            source.root, "--categories", metadata_csv.CATEGORY, *paths.CATEGORY_CSVS
        )
        allowed_landmarks(categories, filters.categories)  # to report an unknown category at once
    return dataclasses.replace(source, attribution_csv=attribution, categories_csv=categories)
