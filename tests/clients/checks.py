"""What the Python programs share: the text and the lines they print. See README.md."""

import sys

TEXT = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line"


class Checks:
    """Prints one line per item and remembers failures."""

    def __init__(self):
        self.failed = False

    def ok(self, name):
        print("ok", name)

    def skip(self, name, reason):
        print(f"skip {name}: {reason}")

    def equal(self, name, got, expected):
        if got == expected:
            self.ok(name)
        else:
            self.failed = True
            print(f"fail {name}: got {got!r}, expected {expected!r}")

    def done(self):
        sys.exit(1 if self.failed else 0)
