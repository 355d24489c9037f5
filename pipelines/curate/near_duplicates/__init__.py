"""Copies and near copies of photos.

In the order of the data's way:

  pair_search          the Beam pipeline from hashes to pairs of near duplicates
  multi_index_hashing  finds all pairs of hashes that differ in few bits
  duplicates           groups the pairs and picks the image to keep
"""
