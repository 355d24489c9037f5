"""gld2 inspect: shows a dataset, or verifies every byte of it.

In the order of the data's way:

  command         the command line
  options         flags
  inspect         runs all of gld2 inspect
  version_folder  finds a version of a dataset and loads its counts and labels
  overview        prints counts, plots class sizes, draws a contact sheet
  verify          finds faults of files, records, photos and sums
  tfrecord_scan   reads frames of TFRecord files that may be damaged
"""
