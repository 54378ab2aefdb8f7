"""How a script talks with its test: events out, commands in."""

import json
import sys
import threading


def emit(event, **fields):
    """Prints an event as one line of JSON."""
    print(json.dumps({"event": event, **fields}), flush=True)


def told():
    """An Event that is set once the test closes our standard input."""
    closed = threading.Event()

    def wait():
        for _ in sys.stdin:
            pass
        closed.set()

    threading.Thread(target=wait, daemon=True).start()
    return closed


def text(value):
    """Bytes as text, None as it is: what JSON can carry."""
    return value.decode() if isinstance(value, bytes) else value
