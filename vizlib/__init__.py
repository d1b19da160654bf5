"""See what every layer of a convolutional network does to an image."""

__version__ = "0.1.0"
