"""What must not be printed: passwords, keys and tokens, wherever a setting holds them.

    by name     properties whose name says it: password, secret, token, credential, key, jaas,
                authorization, cookie
    by place    user and password of a URI, options of it with such a name
    by value    what was found to be a secret is masked wherever else it stands

Names of files are no secrets: `ssl.key.location` is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "***"

_NAMES = re.compile(
    r"pass(word|phrase|wd)?$|password|secret|token|credential|jaas|authorization|cookie|"
    r"(^|[._-])(api|access|private|account)?[._-]?key([._-]?id)?$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(location|file|path|dir|\.enabled|\.type|mechanism)s?$", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_OPTION = re.compile(r"(?<=[?&;])([^=&;\s]+)=([^&;\s]*)")
_LEAST = 4  # signs of a value that is looked for elsewhere; less would mask half of a page


def is_secret(name: str) -> bool:
    """Whether a property of this name holds a secret."""
    return bool(_NAMES.search(name)) and not _NO_SECRET.search(name)


def masked_text(text: str, known: Iterable[str] = ()) -> str:
    """A text without the secrets that its form shows, and without those that are known."""
    text = _USER.sub(MASK, text)
    text = _OPTION.sub(lambda m: f"{m[1]}={MASK}" if is_secret(m[1]) else m[0], text)
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def masked(value: object, known: Iterable[str] = ()) -> object:
    """A setting's value for people: texts and mappings without their secrets."""
    if isinstance(value, str):
        return masked_text(value, known)
    if isinstance(value, Mapping):
        return {k: MASK if is_secret(str(k)) else masked(v, known) for k, v in value.items()}
    return value


def found_in(values: Iterable[object]) -> set[str]:
    """The secrets of some settings: of properties by name, of URIs by place."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, Mapping):
            found |= {str(v) for k, v in value.items() if is_secret(str(k))}
            found |= found_in(v for v in value.values() if not isinstance(v, Mapping))
        elif isinstance(value, str):
            found |= {part for user in _USER.findall(value) for part in user.split(":")[1:]}
            found |= {m[1] for m in _OPTION.findall(value) if is_secret(m[0])}
    return {secret for secret in found if len(secret) >= _LEAST}
