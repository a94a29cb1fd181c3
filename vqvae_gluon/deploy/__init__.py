"""Exported models at work: images to codes and back, new images, many at a time; and what runs without MXNet."""
