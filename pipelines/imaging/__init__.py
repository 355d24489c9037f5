"""Pixels: photos normalized, hashed and put on contact sheets. No Beam.

normalize: photos become upright RGB JPEGs of bounded size.
perceptual_hash: hashes by which repeated photos are found.
contact_sheet: groups of photos on one picture, with text.
"""
