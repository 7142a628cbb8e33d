"""Damaged videos, each made from a seed, go through all that a worker does to an upload.

`python -m tests.fuzz --runs 3000` takes them from any real or generated videos at hand; a seed that shows
something runs again with `--seed`.
"""
