"""What a model is worth: figures and pictures of images, of a batch, a folder or a whole split, and a run's report."""
