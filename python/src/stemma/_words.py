"""Messages in the words of Python: what the program says of flags and commands, said of keywords and methods."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache

from stemma._ops import FLAGS

_QUOTED = re.compile(r"(\b(?:use|with|run|say|by|and|or) |: )?'(?:(?:stemma|dolt) )?([a-z][^'\n]*)'")
_NAMED = re.compile(r"\b(?:stemma|dolt) ([a-z][^;\n]*?)(?=$|[;\n]| && )")
_FLAG = re.compile(r"""(?<![\w<'"/.-])(--[A-Za-z][\w-]*|-[A-Za-z]\b)(?: ("[^"\n]*"))?""")


def in_python(verb: str, text: str) -> str:
    """Returns what the program says of a verb, with calls for commands and keywords for flags."""

    def quoted(found: re.Match[str]) -> str:
        lead, command = found[1] or "", found[2]
        call = _call(command, certain=bool(lead))
        return found[0] if call is None else f"{lead}{call}"

    def named(found: re.Match[str]) -> str:
        return _call(found[1], certain=True) or found[0]

    def flag(found: re.Match[str]) -> str:
        known = _flags(verb).get(found[1])
        if known is None:
            return found[0]
        keyword, valued = known
        if not valued:
            return f"{keyword}=True{found[0][len(found[1]) :]}"
        return f"{keyword}={found[2] or '…'}"

    return _FLAG.sub(flag, _NAMED.sub(named, _QUOTED.sub(quoted, text)))


@lru_cache(64)
def _flags(verb: str) -> dict[str, tuple[str, bool]]:
    """Returns the keywords of a verb by flag, and whether they take values."""
    out = {}
    for word in FLAGS.get(verb, "").split():
        keyword, *flags = word.split("/")
        for f in flags:
            out[f] = (keyword.rstrip("="), keyword.endswith("="))
    return out


def _call(command: str, *, certain: bool) -> str | None:
    """Returns a command as a call of a method; None when it is none. Without certain a single word is the name of something else."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    verb = next((v for v in (" ".join(words[:2]), words[0] if words else "") if v in FLAGS), None)
    if verb is None:
        return None
    rest = words[verb.count(" ") + 1 :]
    if not rest and not certain:
        return None
    arguments, keywords = [], []
    while rest:
        word = rest.pop(0)
        name, given, value = word.partition("=")
        found = _flags(verb).get(name)
        if found is None:
            if word.startswith("-"):
                return None
            arguments.append(repr(word))
            continue
        keyword, valued = found
        if valued:
            if not given and not rest:
                return None
            keywords.append(f"{keyword}={value if given else rest.pop(0)!r}")
        else:
            keywords.append(f"{keyword}=True")
    return f"{verb.replace(' ', '_').replace('-', '_')}({', '.join([*arguments, *keywords])})"
