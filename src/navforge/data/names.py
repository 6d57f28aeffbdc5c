"""Names that come from data: tokens of scenes and names of logs, which become file names and rows of text files."""

from __future__ import annotations

from navforge.core.errors import DataError

_LONGEST = 200
"""Characters; with the endings of our files below the 255 bytes file systems allow."""


def check_name(name: str, what: str) -> str:
    """The name, if it can stand in a path, in a list with one name per line and on a terminal.

    Args:
        name: a token or the name of a log.
        what: what is named, and where it was read, for the message.

    Raises:
        DataError: the name is empty, longer than 200 characters or of dots only, or holds a blank, a line break,
            another control character or a path separator.
    """
    if fault := _fault(name):
        shown = repr(name if len(name) <= _LONGEST else name[:57] + "...")
        raise DataError(f"{what} is {shown}, which {fault}; it has to be a plain name, such as 16 hexadecimal digits")
    return name


def _fault(name: str) -> str:
    if not name:
        return "is empty"
    if len(name) > _LONGEST:
        return f"has {len(name)} characters"
    if "\n" in name or "\r" in name:
        return "holds a line break"
    if any(character.isspace() for character in name):
        return "holds a blank"
    if not name.isprintable():
        return "holds a control character"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    return "is a folder of the file system" if not name.strip(".") else ""
