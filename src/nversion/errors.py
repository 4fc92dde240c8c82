"""Every error that nversion raises on purpose, in one tree, and its two warnings.

All derive from :class:`NVersionError`, so that a caller can catch the family; the ones that
describe a wrong argument also derive from :class:`ValueError`. Messages name the file, line or
argument at fault and say what would be right.
"""

from __future__ import annotations

import errno

__all__ = [
    "ArchitectureError",
    "ArtefactError",
    "ConfigError",
    "DatasetError",
    "DiskFullError",
    "DownloadError",
    "InputError",
    "MissingExtraError",
    "NVersionError",
    "OutputsWarning",
    "PluginWarning",
    "StudyError",
    "ThinLeadWarning",
    "TrainingError",
    "UnsupportedModuleError",
    "WorkerKilledError",
    "in_words",
]


class NVersionError(Exception):
    """The root of all errors that nversion raises on purpose."""


class InputError(NVersionError, ValueError):
    """An argument has the wrong type, shape, range or value."""


class DatasetError(NVersionError, ValueError):
    """A dataset's files are missing, truncated, malformed or inconsistent."""


class DownloadError(DatasetError):
    """No mirror gave a file with the published checksum."""


class ArchitectureError(NVersionError, ValueError):
    """An architecture text cannot be read, or does not fit the input shape."""


class ConfigError(NVersionError, ValueError):
    """A recipe or study configuration is wrong."""


class ArtefactError(NVersionError):
    """A saved artefact (version, adversarial set, record) is missing, damaged or foreign."""


class TrainingError(NVersionError):
    """A version could not be trained: its loss became NaN or its accuracy stayed at chance."""


class StudyError(NVersionError):
    """A study cannot go on, or its folder belongs to another study."""


class UnsupportedModuleError(NVersionError, ValueError):
    """A model holds a module or operation that the requested analysis cannot treat."""


class MissingExtraError(NVersionError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class DiskFullError(NVersionError):
    """There is no room to write a file: the disk is full, or a quota or size limit is reached."""


class OutputsWarning(UserWarning):
    """A model gives something else than logits, and is read accordingly; the message says how."""


class ThinLeadWarning(UserWarning):
    """Rounding in the evaluation of a model may alone change its class on some images."""


class PluginWarning(UserWarning):
    """A plugin cannot be loaded and is left out; the message names it and says why."""


class WorkerKilledError(NVersionError):
    """A worker process was killed from outside, again and again, during one piece of work."""


REMEDIES = {
    errno.EMFILE: "raise the limit, for example with `ulimit -n 1024`, or use --workers 1",
    errno.ENFILE: "raise the system's limit, or use --workers 1",
    errno.EACCES: "ask for the permission, or name another place",
    errno.EPERM: "ask for the permission, or name another place",
    errno.EROFS: "name a place that can be written to",
    errno.ENOSPC: "free some space",
    errno.ENOTDIR: "name a folder",
    errno.EISDIR: "name a file",
    errno.EEXIST: "name another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What would be right, by the system's number of what is wrong."""


def in_words(error: OSError) -> str:
    """Return what the system says of a file that cannot be read or written, and what to do."""
    name = error.filename2 or error.filename
    reason = (error.strerror or str(error)).lower()
    remedy = REMEDIES.get(error.errno or 0)
    return f"{f'{name}: ' if name else ''}{reason}{f'; {remedy}' if remedy else ''}"
