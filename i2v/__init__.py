"""i2v: a photo and a sentence become a video."""
