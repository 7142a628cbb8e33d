"""Benchmarks: TritonTube side by side with what one would use instead, in one run. `bench/run --help`."""
