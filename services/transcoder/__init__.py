"""Transcoder workers: plan a video, encode its pieces, make it playable."""
