"""Stage 2, gld2 curate: facts and metadata become one decision for each image.

In the order of the data's way:

  command           the command line
  options           flags: filters, near duplicates, leaks, validation
  inputs            finds the metadata CSVs that the filters read
  pipeline          the Beam pipeline from facts to decisions, labels.csv and done.json
  join              joins facts with metadata by image id
  filters           drops train images by size, content and metadata
  near_duplicates   finds copies and near copies, and picks the one to keep
  vocabulary        maps landmark ids to labels
  decisions         labels images, counts classes, assigns validation images
  validation_split  chooses the validation images
  summary           prints the counts
"""
