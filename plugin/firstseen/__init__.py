"""firstseen: first-seen detection inside the log stream."""

__version__ = "0.1.0"
