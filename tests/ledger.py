"""Programs that save, are killed or have calls that fail, and say what was acknowledged: what has to be there then."""

import signal
import subprocess
import sys
import time


def numbers_in(chat, told):
    """Check that each acknowledged save is in a conversation exactly once, others whole or not at all, in order.

    A save is two messages, "<number> a" and "<number> b". Returns the numbers that are there.
    """
    said = [node.message.content.split()[:2] for node in chat.tree.nodes[1:]]
    numbers = [int(number) for number, _ in said]

    assert [half for _, half in said] == ["a", "b"] * (len(said) // 2)
    assert numbers[::2] == numbers[1::2] == sorted(set(numbers))
    assert set(told) <= set(numbers)
    return numbers[::2]


def kill_again_and_again(program, path, kills, check, durability="full"):
    """Start a program and kill it, so many times, and check each time; the numbers that were told.

    ``check`` is given the path and those numbers, and gives the numbers that are there.
    """
    told, first = [], 0
    for number in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", program, path, str(first), durability], stdout=subprocess.PIPE, text=True
        ) as speaker:
            told.append(int(speaker.stdout.readline()))
            time.sleep(0.003 * (number % 10))
            speaker.send_signal(signal.SIGKILL)
            told += [int(line) for line in speaker.stdout.read().split("\n")[:-1]]
        stored = check(path, told)
        first = stored[-1] + 1
    return told


def strace(program, *arguments, options, log=None):
    """Run a program under strace; its lines, and how it ended."""
    command = ["strace", "-f", "-qq", "-o", str(log or "/dev/null"), *options]
    done = subprocess.run(
        [*command, sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.splitlines(), done


def check_takes_appends(store):
    """Check that the store, opened anew, takes appends and reads them."""
    chat = store.load("trip")
    chat.add("user", "after all", under="")
    store.save(chat)
    assert store.load("trip").tree.nodes[-1].message.content == "after all"
