"""Defines flags as fields of frozen dataclasses.

flags: declares flags and groups of them, and checks their values.
command_line: makes a parser of these fields, and options of a command line.
normalization: the parameters of normalisation; a group that is also a field of records.
curation: the parameters of curation; a group that is also a field of records.
"""
