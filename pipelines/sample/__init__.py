"""A generated Google Landmarks Dataset v2, small, with planted defects (gld2 sample).

config: the flags: sizes and numbers of defects.
world: the plan: landmarks, photos and planted cases.
structures: 3-D models of landmarks.
scenery: pictures of these models.
writer: photos, tars and CSVs in the published layout.
http_server: serves a folder on loopback, with range requests.
command: the command line.
"""
