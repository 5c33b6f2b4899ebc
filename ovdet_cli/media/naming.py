"""Names of inputs in a run's records: printable, of one line, and each only once."""

import unicodedata


def safe_name(name: str) -> str:
    """The name fit for UTF-8 and one line: undecodable bytes and control signs become escapes such as \\xff and \\n."""
    if name.isprintable():
        return name
    return "".join(_escaped(sign) if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in name)


def _escaped(sign: str) -> str:
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python carries it (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


def unique_name(name: str, taken: set[str]) -> str:
    """The name, numbered before its ending where `taken` has it already; and adds it there."""
    stem, dot, suffix = name.rpartition(".")
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{stem}-{number}.{suffix}" if dot else f"{name}-{number}"
    taken.add(unique)
    return unique
