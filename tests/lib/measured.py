"""measured.py -- the programs of bench/, run by a test, and the reports that they write. bench/lib is found by whoever imports this.

    bench = Bench('macro', 500)
    done = bench.run('--list')
    report = bench.report(path, bench.run('nginx/h3/64/m1/c1', '--json', path))
    for name, cell in cells_of(report):
        bench.check(name, cell['median']['failed'] == 0, cell)
    sys.exit(bench.end())
"""
import json
import os
import subprocess
import sys

from tap import Tap

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'bench', 'lib'))


class Bench(Tap):
    def __init__(self, program, patience):
        """patience: seconds that a run of it may take."""
        self.program, self.patience = os.path.join(TOP, 'bench', program), patience

    def run(self, *argv, patience=None):
        return subprocess.run([self.program, *argv], capture_output=True, text=True, errors='replace', timeout=patience or self.patience)

    def report(self, path, done):
        """What a run has written. {} where it has not, which is a failure: of what it said, done, the end is shown."""
        if not self.check('json', os.path.exists(path), done.stdout + done.stderr):
            return {}
        with open(path) as f:
            return json.load(f)


def cells_of(report):
    """(name, cell) of everything that was measured, also where cells stand by network or by section."""
    groups = report.get('nets') or report.get('sections') or {'': report.get('cells', {})}
    for group in groups.values():
        yield from group.items()
