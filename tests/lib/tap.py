"""tap.py -- what a test says: a line for each thing it checked, as tools/test counts them, and its exit status.

    tap = Tap()
    tap.check('index', reply.status == 200, reply)
    sys.exit(tap.end())
"""


class Tap:
    passed = failed = 0

    def check(self, name, is_ok, detail=''):
        """detail: shown where it is not so, the end of it if it is long."""
        print(('ok ' if is_ok else 'not ok ') + name, flush=True)
        self.passed += bool(is_ok)
        self.failed += not is_ok
        for line in [] if is_ok else str(detail).strip().splitlines()[-25:]:
            print('# ' + line, flush=True)
        return is_ok

    def end(self):
        """The exit status. A test that checked nothing has failed."""
        if self.passed + self.failed == 0:
            self.check('something_was_checked', False)
        return 1 if self.failed else 0
