"""Exported files: where they lie, whether they are whole and belong together, how they are loaded and run."""
