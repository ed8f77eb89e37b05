"""A program on a real pseudo-terminal, and the screen as a person sees it."""

import copy
import os
import sys
import time

import pexpect
import pyte

PATIENCE_SECONDS = 20
"""How long a condition may take on a busy machine; what is waited for mostly comes at once."""


ALTERNATE = 1049
"""The mode in which programs have a screen to themselves, and leave the one before as it was."""


class Screen(pyte.HistoryScreen):
    """A screen that also has an alternate one, which pyte leaves out."""

    before = None
    answer = None

    def write_process_input(self, data):
        """What a terminal answers when it is asked where the cursor is."""
        self.answer(data)

    def set_mode(self, *modes, **options):
        if ALTERNATE in modes and options.get("private"):
            self.before = (copy.deepcopy(self.buffer), copy.copy(self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options):
        super().reset_mode(*modes, **options)
        if ALTERNATE in modes and options.get("private") and self.before is not None:
            self.buffer, self.cursor = self.before
            self.before = None
            self.dirty.update(range(self.lines))


class Terminal:
    """A command of branchlog on a terminal of so many columns and lines."""

    def __init__(self, *args, columns=80, lines=24, command=("-m", "branchlog"), **environment):
        given = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
        given |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}
        self.screen = Screen(columns, lines, history=2_000, ratio=1)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = pexpect.spawn(
            sys.executable, [*command, *args], env=given, dimensions=(lines, columns), echo=False
        )
        self.screen.answer = self.process.send

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.close(force=True)

    def _read(self):
        try:
            some = self.process.read_nonblocking(65536, timeout=0.05)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += some
        self.stream.feed(some)
        return True

    @property
    def shown(self):
        """The lines on the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.shown).rstrip()

    def until(self, condition):
        """Wait until the screen is as it should be; a text, or a function of the screen's text."""
        met = (lambda text: condition in text) if isinstance(condition, str) else condition
        end = time.monotonic() + PATIENCE_SECONDS
        while not met(self.text):
            assert time.monotonic() < end, f"waited for {condition!r} in vain; the screen is:\n{self.text}"
            if not self._read():
                assert met(self.text), f"it ended without {condition!r}; the screen is:\n{self.text}"
        return self.text

    def prompt(self):
        """Wait for an empty prompt, with the line that says where one is somewhere beneath."""

        def waits(_):
            row, *beneath = self.shown[self.screen.cursor.y :] or [""]  # none, while the size is changing
            return self.screen.cursor.x == 2 and row == ">" and any(beneath)

        return self.until(waits)

    def send(self, keys):
        self.process.send(keys)

    def type(self, text, awaited=None):
        """Type a line at the prompt and send it, once it stands there; then wait for a text, or the next prompt."""
        self.prompt()
        self.send(text)
        end = "".join(text[-30:].split())  # which may be broken over two lines
        self.until(lambda shown: end in "".join(shown.split()))
        self.send("\r")
        if awaited is not None:
            self.until(awaited)

    def resize(self, columns, lines):
        self.process.setwinsize(lines, columns)
        gone = max(self.screen.lines - lines, 0)
        self.screen.resize(lines, columns)
        self.screen.cursor.y = max(self.screen.cursor.y - gone, 0)  # the lines went away at the top
        self.screen.ensure_hbounds()

    def ended(self):
        """Wait for the end; the exit code."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self._read():
            assert time.monotonic() < end, f"it does not end; the screen is:\n{self.text}"
        self.process.close()
        return self.process.exitstatus
