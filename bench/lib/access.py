"""access.py -- what a server says that it has answered: the lines of its access log, and which of them tell of a good answer.

nginx and haproxy write a status on each line and nothing else, caddy JSON, plx-serve its own format. A log is tens of millions of
lines, so it is read in large pieces: one whose lines all have the mark of a good answer is counted at once, any other line by line.
"""
import collections
import os
import re

PIECE = 16 << 20
Count = collections.namedtuple('Count', 'lines good odd')  # odd: some of the lines that are not good, to show


def shape(cell):
    """(whether n lines are all good, at a glance: False when it takes a closer look; what one good line looks like)."""
    if cell.system in ('nginx', 'haproxy'):
        return lambda text, n: text == b'200\n' * n, rb'200'
    if cell.system == 'caddy':
        return lambda text, n: text.count(b'"status":200,') == n and b'"level":"error"' not in text, rb'\{"level":"info",.*"status":200,.*\}'
    mark = f' /{cell.body} 200 {cell.size} '.encode()
    return lambda text, n: text.count(mark) == n and b' error=' not in text, rb'\S+ \S+ GET' + mark + rb'\S+ core=\d+'


def count(path, cell):
    are_good, pattern = shape(cell)
    lines, good, odd, rest, line_of = 0, 0, [], b'', re.compile(pattern)
    if not os.path.exists(path):
        return Count(0, 0, [])
    with open(path, 'rb') as f:
        while piece := f.read(PIECE):
            whole, end, rest = (rest + piece).rpartition(b'\n')
            whole += end
            n = whole.count(b'\n')
            lines += n
            if are_good(whole, n):
                good += n
                continue
            others = [line for line in whole.splitlines() if not line_of.fullmatch(line)]
            good += n - len(others)
            odd += [line.decode(errors='replace') for line in others[:5 - len(odd)]]
    if rest:  # a line without an end: somebody was cut off
        lines, odd = lines + 1, (odd + [rest.decode(errors='replace')])[:5]
    return Count(lines, good, odd)
