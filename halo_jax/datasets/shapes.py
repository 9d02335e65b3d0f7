"""The sizes of images of the known data sets: what a network is priced for without any data at hand."""

EMNIST_CLASSES = {"balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26, "mnist": 10}

SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {  # height, width, channels; classes
    "cifar10": ((32, 32, 3), 10),
    "digits": ((8, 8, 1), 10),
    "emnist": ((28, 28, 1), EMNIST_CLASSES["balanced"]),
    **{f"emnist/{variant}": ((28, 28, 1), classes) for variant, classes in EMNIST_CLASSES.items()},
    "fashion_mnist": ((28, 28, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "tiny_imagenet": ((64, 64, 3), 200),
}
