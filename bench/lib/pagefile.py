"""pagefile.py -- what a long measurement leaves behind: its JSON after every round, and its tables between two marks of a page."""
import json
import os

import machine


def keep(path, report):
    """After every round: who stops the command in the middle has the rounds before. path: None for nowhere."""
    if not path:
        return
    with open(path + '.new', 'w') as f:
        json.dump(report, f, indent=1)
        f.write('\n')
    os.replace(path + '.new', path)


class Marks:
    """Two lines of a page, and what a command writes between them."""

    def __init__(self, command):
        self.begin, self.end = f'<!-- tables: {command} writes them -->\n', '<!-- end of the tables -->\n'

    def missing(self, path):
        """The first mark that the page lacks, for an error message; None when both are there."""
        page = machine.read(path)
        return next((m.strip() for m in (self.begin, self.end) if m not in page), None)

    def put(self, path, text):
        """Replaces what is between the marks; both must be there."""
        before, begin, rest = machine.read(path).partition(self.begin)
        end, after = rest.partition(self.end)[1:]
        with open(path, 'w') as f:
            f.write(f'{before}{begin}\n{text}\n{end}{after}')
