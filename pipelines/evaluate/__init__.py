"""Stage 6, gld2 evaluate: the metrics of submissions, as Kaggle scores them.

In the order of the data's way:

  command       the command line
  options       flags
  figures       runs all of gld2 evaluate: reads files, prints and writes the metrics
  metrics       joins predictions with the solution; GAP, accuracy, precision, recall
  comparison    compares several submissions
  bootstrap     estimates differences by a paired bootstrap over queries
  pr_curve      plots precision and recall
  worst_errors  shows the wrong predictions that rank highest
"""
