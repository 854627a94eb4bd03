"""Break paragraphs into lines of limited width."""


def split_long(word, width):
    """Cut a word that is wider than a line into pieces that fit."""
    return [word[start : start + width] for start in range(0, len(word), width)]


def wrap(text, width=72):
    """The words of `text` in lines of at most `width` characters.

    Words are separated by one space; a word longer than a line is cut.
    """
    if width < 1:
        raise ValueError("a line needs room for at least one character")
    lines = []
    line = ""
    for word in text.split():
        for piece in split_long(word, width):
            if not line:
                line = piece
            elif len(line) + len(piece) <= width:
                line = f"{line} {piece}"
            else:
                lines.append(line)
                line = piece
    if line:
        lines.append(line)
    return lines


def fill(text, width=72):
    """Like `wrap`, but for several paragraphs, and as one string.

    Paragraphs are separated by empty lines, before and after.
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join("\n".join(wrap(paragraph, width)) for paragraph in paragraphs)


def center(text, width=72):
    """Every line of the wrapped text in the middle, without trailing spaces."""
    return [line.center(width).rstrip() for line in wrap(text, width)]
