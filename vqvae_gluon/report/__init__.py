"""A run on one HTML page: figures, pictures, codebook, samples, and what is wrong."""
