"""Numbers with their noun, for lines that people read."""


def counted(number: int, noun: str) -> str:
    """``"no pieces"``, ``"1 piece"``, ``"2 pieces"``; for nouns with a plain ``s``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
