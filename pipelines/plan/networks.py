"""The networks that a plan can be made for, with their input size and multiply-adds."""

NETWORKS = {  # (side of the input in pixels, multiply-adds of a photo in GMAC), from gld2 describe
    "efficientnet_b0": (224, 0.386),
    "efficientnet_b1": (240, 0.687),
    "efficientnet_b2": (260, 0.994),
    "efficientnet_b3": (300, 1.827),
    "efficientnet_b4": (380, 4.394),
    "efficientnet_b5": (456, 10.266),
    "efficientnet_b6": (528, 19.068),
    "efficientnet_b7": (600, 37.746),
    "efficientnet_lite0": (224, 0.386),
    "mobilenet": (224, 0.569),
    "mobilenet_v2": (224, 0.301),
    "resnet50": (224, 3.858),
    "resnet101": (224, 7.570),
    "resnet152": (224, 11.282),
    "vgg16": (224, 15.347),
}
