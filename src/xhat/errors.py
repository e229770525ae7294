"""The errors xhat raises on purpose: one line that names the thing, the value and the way out."""

from __future__ import annotations


class XhatError(Exception):
    """Base class: everything xhat refuses on purpose."""


class DataError(XhatError, ValueError):
    """The data cannot be used as they are."""


class ParameterError(XhatError, ValueError):
    """A parameter has a value that cannot work."""


class TrainingError(XhatError, ArithmeticError):
    """Training stopped because the loss was no longer finite."""


class ModelFileError(XhatError, ValueError):
    """A model file is damaged, foreign or written by a newer version."""


class CheckpointError(XhatError, ValueError):
    """A checkpoint is damaged or belongs to another fit."""


class MissingExtraError(XhatError, ImportError):
    """An optional package is needed for what was asked."""


class Stopped(BaseException):
    """Not an error: a fit was asked to stop, and its state is on disk."""
