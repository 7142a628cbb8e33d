"""The web service: uploads, playback, the catalogue over HTTP, and the pages."""
