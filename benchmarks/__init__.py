"""Ours and the Go reference plugins, side by side in one run; see docs/benchmarks.md."""
