"""The arrays of an ``.npz`` file, read within bounds and without pickled objects.

The file is a zip archive of ``.npy`` files. Each array's header is read first, and an array is
made only if the archive holds as many bytes as its header promises and they are not too many: a
header of a hundred bytes can promise any number of values.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nversion.errors import DatasetError
from nversion.reading import check_expansion, shortened

__all__ = ["ARRAY_LIMIT", "Arrays", "read_arrays"]

Arrays = dict[str, npt.NDArray[np.generic]]

ARRAY_LIMIT = 1 << 32
"""The most bytes of one array."""

NPY = ".npy"


def read_arrays(path: Path, wanted: Collection[str]) -> tuple[Arrays, list[str]]:
    """Return those arrays of a file that are wanted, and the names of all that it holds.

    Raises:
        DatasetError: the file is missing or damaged, or a wanted array holds objects, another
            number of values than it promises, or more than `ARRAY_LIMIT` bytes.
    """
    try:
        # Without this, what is no archive is an error that speaks of a damaged one.
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a complete zip archive")
        with zipfile.ZipFile(path) as archive:
            held = {info.filename.removesuffix(NPY): info for info in archive.infolist()}
            arrays = {
                name: _read_array(archive, held[name], path) for name in wanted if name in held
            }
    except DatasetError:
        raise
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{path}: not readable as .npz without pickled objects ({error}); save plain arrays "
            "with numpy.savez or numpy.savez_compressed"
        ) from error
    return arrays, list(held)


def _read_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path
) -> npt.NDArray[np.generic]:
    name = info.filename.removesuffix(NPY)
    with archive.open(info) as file:
        # Headers that need the later versions of the format are those of structured arrays.
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{shortened(name)} is not a plain array")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError(f"{shortened(name)} holds objects, not numbers")
        promised, held = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
    if promised != held:
        raise ValueError(
            f"{shortened(name)} promises {promised:,} bytes in its header, but there are {held:,}"
        )
    if promised > ARRAY_LIMIT:
        raise DatasetError(
            f"{path}: {name} is {promised:,} bytes, and {ARRAY_LIMIT:,} are the most for one "
            "array; save fewer images, or 8-bit ones as uint8"
        )
    check_expansion(info.compress_size, promised, f"{path}: {name}", DatasetError)
    with archive.open(info) as file:
        array: npt.NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return array
