"""The exceptions: all are `Error`, and each is the built-in that fits, too."""

from __future__ import annotations


class Error(Exception):
    """Anything that goes wrong in the library, with its message."""

    __module__ = "orthoformer"


class InputError(Error, ValueError):
    """Something given does not fit: a shape, a value, a name, a checkpoint, a clip."""

    __module__ = "orthoformer"


class ElementTypeError(Error, TypeError):
    """Something given has elements of a type that cannot be used."""

    __module__ = "orthoformer"


class RangeError(Error, IndexError):
    """A number is beyond those that there are, such as a layer's."""

    __module__ = "orthoformer"


class FileError(Error, OSError):
    """A file cannot be read or written; `filename` and `errno` say which and why."""

    __module__ = "orthoformer"

    def __str__(self) -> str:
        # OSError would make a message of its own of file name and number.
        return str(self.args[0])


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder is not there."""

    __module__ = "orthoformer"


class OutOfMemoryError(Error, MemoryError):
    """Device or host are out of memory."""

    __module__ = "orthoformer"


class DeviceError(Error, RuntimeError):
    """There is no device that will do, or it failed."""

    __module__ = "orthoformer"
