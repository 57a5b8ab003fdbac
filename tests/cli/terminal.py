"""Runs a command on a terminal of 80 x 24 and prints what stands on it at the end.

    python3 tests/cli/terminal.py [--interrupt TEXT] COMMAND...

--interrupt: Ctrl-C is typed once TEXT has been written. The exit status is the command's. Only what
Fournil writes is understood: text, carriage return, new line, "erase to the end of the line" and
colours; anything else ends the test."""
import fcntl
import os
import pty
import re
import struct
import sys
import termios

COLUMNS, ROWS = 80, 24
TOKEN = re.compile(r"\r|\n|\x1b\[K|\x1b\[[0-9;]*m|[^\x00-\x1f\x1b]")


class Screen:
    def __init__(self):
        self.lines, self.column = [""], 0

    def put(self, text):
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None:
                sys.exit("not understood: %r" % text[at:at + 12])
            at = token.end()
            self.one(token.group())

    def one(self, token):
        if token == "\r":
            self.column = 0
        elif token == "\n":
            self.lines.append("")
        elif token == "\x1b[K":
            self.lines[-1] = self.lines[-1][:self.column]
        elif token[0] != "\x1b":
            if self.column == COLUMNS:
                self.lines.append("")
                self.column = 0
            line = self.lines[-1].ljust(self.column)
            self.lines[-1] = line[:self.column] + token + line[self.column + 1:]
            self.column += 1


def main():
    arguments, interrupt = sys.argv[1:], None
    if arguments[0] == "--interrupt":
        interrupt, arguments = arguments[1].encode(), arguments[2:]
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.environ["TERM"] = "xterm"
        os.execvp(arguments[0], arguments)
    written = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
        if interrupt is not None and interrupt in written:
            os.write(terminal, b"\x03")
            interrupt = None
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    screen = Screen()
    screen.put(written.decode())
    print("\n".join(screen.lines))
    sys.exit(status if status >= 0 else 128 - status)


main()
