"""What all rooms share: formats, errors and the command line. Imports numpy at most.

cli: runs a command and turns exceptions into one line and an exit code.
options: flags as fields of frozen dataclasses, with default, help and check.
command_line: makes a parser of these fields and options of a command line.
quiet: silences the logs of libraries.
errors: the errors that commands print as one line.
schema: the features, columns and values of files that stages exchange.
paths: the paths of a source and of the output.
reasons: why images, rows and archives are not kept.
labels: labels.csv, read and written.
gap: Global Average Precision.
"""
