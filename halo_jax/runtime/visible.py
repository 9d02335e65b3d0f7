"""Names from outside as data: of files, folders, data sets and runs that somebody else has made."""


def visible(text: object) -> str:
    """A text as one printable line: what a terminal would obey, or could not show, stands as its escape.

    A line feed is "\\n" here, the escape character "\\x1b", a byte that is no UTF-8 in the name of a file "\\udcff".
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
