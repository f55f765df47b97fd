#!/usr/bin/env python3
"""The runner behind tools/test counts rightly: every row is a program, and what must come of it."""
import contextlib
import io
import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tools', 'lib'))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from jobs import Job, Results, run_all  # noqa: E402
from tap import Tap  # noqa: E402

# name, shell program, timeout, passed, failed
ROWS = [
    ('silent_success', 'true', 5, 1, 0),
    ('silent_failure', 'false', 5, 0, 1),
    ('status_77_is_no_skip', 'exit 77', 5, 0, 1),
    ('three_lines', 'echo ok a; echo "ok 2 - b"; echo ok c', 5, 3, 0),
    ('one_of_two', 'echo ok a; echo not ok b; exit 1', 5, 1, 1),
    ('not_ok_with_status_0', 'echo not ok b', 5, 0, 1),
    ('fails_after_all_ok', 'echo ok a; exit 3', 5, 1, 1),
    ('skip_is_failure', 'echo "ok a # SKIP no time"', 5, 0, 1),
    ('words_that_begin_so', 'echo okay; echo "[  OK  ] x"; echo OK then', 5, 1, 0),
    ('crash', 'kill -SEGV $$', 5, 0, 1),
    ('no_end', 'sleep 60', 1, 0, 1),
    ('no_end_of_its_child', 'sleep 60 & wait', 1, 0, 1),
    ('reads_no_terminal', 'read x; test -z "$x"', 5, 1, 0),
]

tap = Tap()
with tempfile.TemporaryDirectory() as folder:
    for name, program, timeout, want_passed, want_failed in ROWS:
        results, said = Results(folder), io.StringIO()
        with contextlib.redirect_stdout(said):
            run_all([Job(name, ['/bin/sh', '-c', program], timeout=timeout)], results, 'part', 2)
            is_fine = results.summary()
        counts = results.parts['part'][:2]
        last = said.getvalue().splitlines()[-1]
        good = counts == [want_passed, want_failed] and last == f'{want_passed} passed, {want_failed} failed' and \
            is_fine == (want_failed == 0)
        tap.check('runner_' + name, good, said.getvalue())

    results = Results(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        run_all([Job('missing', ['/nowhere/at/all'])], results, 'part', 1)
        nothing = Results(folder).summary()
    tap.check('runner_missing_program', results.parts['part'][:2] == [0, 1])
    tap.check('runner_nothing_run_is_no_success', nothing is False)
sys.exit(tap.end())
