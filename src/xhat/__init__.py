"""xhat: autoencoders for tables and matrices."""

__version__ = "0.1.0"
