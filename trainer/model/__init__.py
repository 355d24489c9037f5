"""The network: from photos to logits, and to the loss.

backbones: builds convolutional networks by name, and loads their weights.
heads: pools a feature map to an embedding, and classifies the embedding.
losses: the losses that training minimises, and its accuracy.
build: builds the network for training and for export, and compiles it.
complexity: counts a network's parameters and multiply-adds.
"""
