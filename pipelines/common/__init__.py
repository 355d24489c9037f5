"""What all rooms share: formats, errors and the command line. Imports numpy at most.

cli: runs a command and turns exceptions into one line and an exit code.
options/: flags as fields of frozen dataclasses, and the parsers made of them.
quiet: silences the logs of libraries.
errors: the errors of commands, and the line and exit code in which any exception ends.
schema: the features, columns and values of files that stages exchange.
records/: the JSON files that stages exchange, as frozen dataclasses.
paths: the paths of a source and of the output.
versions: the newest version of a dataset, from the names in its folder.
reasons: why images, rows and archives are not kept.
labels: labels.csv, read and written.
solution: the solution CSV, read.
metrics: what a submission scores against a solution.
gap: Global Average Precision.
plot: figures saved as PNG.
tables: tables of text, in Markdown and for a terminal.
"""
