"""Beam pipelines that turn Google Landmarks Dataset v2 into shards and a scored submission."""
