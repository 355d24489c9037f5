"""Stage 5, gld2 score: an exported model scores photos, and a submission is written.

In the order of the data's way:

  command            the command line
  options            flags of gld2 score and gld2 embed
  scoring            runs all of gld2 score
  inputs             finds the photos: a source, staged photos, shards or a folder
  pipeline           the Beam pipeline from photos to predictions
  model_handler      the model as Beam's RunInference uses it
  model              loads and runs an exported model
  prediction_store   predictions on disk, a file for each unit of photos
  rerank             re-ranking by nearest neighbours, and gld2 embed
  submission_writer  turns predictions into a submission
"""
