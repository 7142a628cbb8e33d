"""Whole files to take away: a rendition as one MP4, made while it is sent, and the original."""

from services.web.download.downloads import PREFIX, Downloadable, Downloads

__all__ = ["PREFIX", "Downloadable", "Downloads"]
