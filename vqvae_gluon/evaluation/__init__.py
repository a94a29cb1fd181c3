"""Evaluation of models: metrics over a whole split, scores of the images in a folder, and plots of a training."""
