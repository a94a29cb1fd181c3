"""Using exported models: encode, decode and generate images, one or many, and export models to run without MXNet."""
