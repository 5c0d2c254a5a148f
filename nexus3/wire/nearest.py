"""The nearest known word, for messages about unknown ones."""

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'base_url'?"``, to be put behind a message, or nothing where no known word is near."""
    import difflib  # here, for only a slip needs it

    near = difflib.get_close_matches(word, [*known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def quoted(word: str, limit: int = 80) -> str:
    """A word that somebody else chose, in quotes, on one line, and never long."""
    text = word if len(word) <= limit else word[: limit - 3] + "..."
    return f"'{text}'" if text.isprintable() else ascii(text)
