"""Re-ranking of scores by nearest neighbours, and gld2 embed.

In the order of the data's way:

  embed               the command line of gld2 embed
  embeddings          writes and reads photos' embeddings and landmarks
  non_landmarks       chooses the non-landmark photos to compare with
  nearest_neighbours  exact search of nearest neighbours
  pipeline            the Beam pipeline that finds each photo's neighbours and similarities
  reranking           computes the new landmarks and scores
"""
