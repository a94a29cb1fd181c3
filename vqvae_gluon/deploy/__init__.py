"""Exported models: made, checked and run."""
