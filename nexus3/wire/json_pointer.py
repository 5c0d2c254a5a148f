"""JSON pointers (RFC 6901) as schemas use them: the fragment of a ``$ref`` that stays within its document."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def path_of(ref: str) -> tuple[str, ...] | None:
    """The names that ``ref`` goes through, outermost first, none for ``#``; ``None`` where it points elsewhere."""
    if ref == "#":
        return ()
    if not ref.startswith("#/"):
        return None
    # Escapes of the URL are undone before those of the pointer (RFC 6901, section 6), and ~1 before ~0 (section 4).
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in unquote(ref[2:]).split("/"))


def ref_to(path: Sequence[str]) -> str:
    """The reference that goes through the names of ``path``."""
    names = (name.replace("~", "~0").replace("/", "~1") for name in path)
    return "#" + "".join("/" + quote(name, safe="~$@:!&'()*+,;=", errors="replace") for name in names)


def find(document: object, path: Sequence[str]) -> object:
    """What stands at ``path`` in ``document``.

    Raises:
        LookupError: there is no such place.
    """
    found = document
    for name in path:
        if isinstance(found, Mapping):
            found = found[name]
        elif isinstance(found, list) and _INDEX.fullmatch(name):
            found = found[int(name)]
        else:
            raise LookupError(name)
    return found
