"""A markdown-file task queue that drives coding agents until a measured goal holds, then lands the result."""

__version__ = "0.1.0"
