"""Exported files: where they are, whether they are intact and belong together, and how they are loaded and run."""
