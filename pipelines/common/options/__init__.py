"""Flags as fields of frozen dataclasses.

flags: declares flags and groups of them, and checks their values.
command_line: makes a parser of these fields, and options of a command line.
normalization: how photos are normalised; a group that records hold too.
curation: what curate decides by; a group that records hold too.
"""
