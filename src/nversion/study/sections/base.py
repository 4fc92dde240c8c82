"""What all parts of the results have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from nversion.errors import ArtefactError
from nversion.files import read_object
from nversion.reading import describe_validation_error

__all__ = [
    "Named",
    "Section",
]


class Section(BaseModel):
    """A part of the results."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the section that a unit wrote as JSON.

        Raises:
            ArtefactError: it cannot be read, or a value is of another type than it must have.
        """
        try:
            return cls.model_validate(read_object(path))
        except ValidationError as problem:
            raise ArtefactError(describe_validation_error(str(path), problem, cls)) from problem

    def to_json(self) -> dict[str, Any]:
        """Return the JSON values: all that was put in, and nothing of what was left out."""
        return self.model_dump(mode="json", exclude_unset=True)


class Named(Section):
    """Something about one version.

    Attributes:
        name: the version's.
    """

    name: str | None = None
