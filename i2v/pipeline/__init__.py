"""One clip from a settled request to a published video; for the worker, the command line and benchmarks."""
