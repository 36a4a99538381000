# SPDX-License-Identifier: Apache-2.0
"""The words of the world and what they stand for."""

NOUNS: tuple[str, ...] = (
    "bird", "boat", "car", "cat", "dog", "fish", "flower", "house", "mug", "robot", "tree", "turtle",
)  # fmt: skip

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (247, 137, 20),
    "yellow": (250, 218, 50),
    "green": (48, 160, 66),
    "blue": (45, 98, 222),
    "purple": (132, 52, 180),
    "pink": (246, 136, 190),
    "white": (244, 244, 240),
}
"""Name to 8-bit sRGB."""

PATTERNS: tuple[str, ...] = ("plain", "striped", "spotted")

BUILDS: dict[str, tuple[float, float]] = {
    "slim": (0.80, 1.0),
    "regular": (1.0, 1.0),
    "stocky": (1.0, 0.80),
}
"""Name to the (horizontal, vertical) stretch of the shape."""

TRAITS: tuple[int, ...] = (0, 1)
"""Which of its noun's two variants a subject shows; what differs is told in `shapes.py`."""

BACKGROUNDS: dict[str, str] = {
    "beach": "on the beach",
    "grass": "on the grass",
    "kitchen": "in the kitchen",
    "night": "at night",
    "snow": "in the snow",
    "street": "in the street",
}
"""Name to the words a caption uses for it."""
