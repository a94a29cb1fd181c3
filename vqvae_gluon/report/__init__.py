"""A report of a run on one HTML page: metrics, images, codebook, samples, and hints at what is wrong."""
