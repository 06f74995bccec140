"""Masks what looks like a secret in a command line that is shown to a person."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
WORD = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?:api|access)[-_]?key|auth(?:orization)?|credentials?)"
# An option whose value is in the next argument; a name before = or :, or in a URL's user information.
OPTION = re.compile(rf"-{{1,2}}(?:[a-z0-9]{{1,20}}[-_])?{WORD}", re.IGNORECASE)
ASSIGNED = re.compile(
    rf"((?:^|[^a-z]){WORD}[\"']?\s?[=:]\s?[\"']?(?:basic |bearer )?)[^\s\"'&;,]++", re.IGNORECASE
)
URL = re.compile(r"(://[^\s/@:]{1,256}:)[^\s/@]{1,256}(?=@)")
USER = re.compile(r"(-u|--user|--proxy-user)")  # curl's; the value is user:password
KNOWN = re.compile(r"\b(?:hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[abp]-|AKIA|eyJ)[A-Za-z0-9_.-]{12,}+")


def masked(argv: Iterable[str]) -> list[str]:
    """The arguments with passwords, tokens and keys replaced, as far as their form or place shows them."""
    shown: list[str] = []
    before = ""
    for argument in argv:
        if OPTION.fullmatch(before):
            shown.append(HIDDEN)
        elif USER.fullmatch(before) and ":" in argument:
            shown.append(argument.partition(":")[0] + f":{HIDDEN}")
        else:
            shown.append(KNOWN.sub(HIDDEN, ASSIGNED.sub(rf"\1{HIDDEN}", URL.sub(rf"\1{HIDDEN}", argument))))
        before = argument
    return shown
