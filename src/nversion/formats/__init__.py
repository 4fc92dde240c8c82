"""Networks from elsewhere: files of other libraries read as versions, and ours written as such.

One file for each format; what is known of all is in :mod:`nversion.formats.loading`.
"""

from nversion.formats.classes import class_names_of, with_classes
from nversion.formats.doubts import doubts_of
from nversion.formats.facts import ProgramFacts
from nversion.formats.feed import Feed, parse_feed
from nversion.formats.loading import format_of, load_version
from nversion.formats.programs import program_facts, versions_in
from nversion.formats.reference import REFERENCE, Reference, read_reference, write_reference
from nversion.formats.source import Source, feed_for

__all__ = [
    "REFERENCE",
    "Feed",
    "ProgramFacts",
    "Reference",
    "Source",
    "class_names_of",
    "doubts_of",
    "feed_for",
    "format_of",
    "load_version",
    "parse_feed",
    "program_facts",
    "read_reference",
    "versions_in",
    "with_classes",
    "write_reference",
]
