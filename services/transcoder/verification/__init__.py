"""Looking at a finished video as a whole, and mending what is found.

Each piece was checked before it was accepted (`services.transcoder.track`). This looks at what no piece can
show: that all files are where they belong and whole, that a track's segments join, that manifests tell what
is there, and that a player can decode it all.
"""
