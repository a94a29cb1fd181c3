"""What a model is worth: figures and pictures of its images, of a batch, a folder or a whole split."""
