"""jobs.py -- runs test programs side by side, keeps their output, and counts.

A job is one program. What it prints goes to a log of its own. A program may report parts of itself, one line each:
    ok NAME
    not ok NAME
and then each such line counts; a program that prints none counts as one, by its exit status. A program that fails without
having named a failed part counts as one failure more, so nothing can fail unseen. There is no third result: what cannot
run has failed.
"""
import os
import re
import signal
import subprocess
import sys
import time

TAP = re.compile(r'^(ok|not ok)\b[ \t]*(?:\d+[ \t]*)?(?:-[ \t]*)?([^\n#]*)(#[ \t]*(?i:skip))?', re.M)

LOGS_SHOWN, LINES_SHOWN = 6, 80  # of failures, at the end


def quoted(text, count):
    """The last lines of a log, set apart so that none of them can be taken for the runner's own."""
    return '\n'.join('           | ' + line for line in text.splitlines()[-count:])


class Job:
    def __init__(self, name, argv, cwd=None, env=None, timeout=600):
        self.name, self.argv, self.cwd, self.env, self.timeout = name, argv, cwd, env or {}, timeout
        self.log = self.process = self.started = None
        self.took = 0.0
        self.timed_out = False


class Results:
    """Counts per part, failures with their logs, and the clock."""

    def __init__(self, log_folder):
        self.log_folder = log_folder
        self.begun = time.monotonic()
        self.parts = {}     # part -> [passed, failed, seconds]
        self.failures = []  # (part, name, log, hint)

    def say(self, text):
        seconds = int(time.monotonic() - self.begun)
        print(f'[{seconds // 60:3}:{seconds % 60:02}] {text}', flush=True)

    def add(self, part, name, is_ok, log=None, hint=''):
        counts = self.parts.setdefault(part, [0, 0, 0.0])
        counts[0 if is_ok else 1] += 1
        if not is_ok:
            self.failures.append((part, name, log, hint))

    def add_output(self, part, job, code):
        with open(job.log, errors='replace') as f:
            text = f.read()
        lines = [(m.group(1) == 'ok' and not m.group(3), m.group(2).strip(), bool(m.group(3))) for m in TAP.finditer(text)]
        for is_ok, name, skipped in lines:
            self.add(part, f'{job.name}: {name}', is_ok, job.log, 'skipped itself' if skipped else '')
        bad = [n for is_ok, n, _ in lines if not is_ok]
        if code != 0 and not bad:
            hint = 'no end after %d s' % job.timeout if job.timed_out else f'exit status {code}'
            self.add(part, job.name, False, job.log, hint)
        elif not lines:
            self.add(part, job.name, True)
        failed = len(bad) or int(code != 0)
        count = f', {len(lines)} checks' if lines else ''
        self.say(f'  {"FAILED" if failed else "ok    "} {job.name} ({job.took:.1f} s{count})')
        if failed:
            for n in bad[:10]:
                print(f'           not ok {n}')
            if not bad:
                print(quoted(text, 12), flush=True)

    def summary(self):
        print('\n%-12s %8s %8s %9s' % ('part', 'passed', 'failed', 'time'))
        for part, (passed, failed, seconds) in self.parts.items():
            print('%-12s %8d %8d %6d:%02d' % (part, passed, failed, int(seconds) // 60, int(seconds) % 60))
        if self.failures:
            print('\nfailed:')
            shown = set()
            for part, name, log, hint in self.failures:
                print(f'  {part}: {name}' + (f' ({hint})' if hint else '') + (f'\n      log: {os.path.relpath(log)}' if log else ''))
                if log and log not in shown and len(shown) < LOGS_SHOWN:  # a machine of CI is gone, and its logs with it
                    shown.add(log)
                    with open(log, errors='replace') as f:
                        print(quoted(f.read(), LINES_SHOWN), flush=True)
        passed = sum(p[0] for p in self.parts.values())
        failed = sum(p[1] for p in self.parts.values())
        print(f'\n{passed} passed, {failed} failed', flush=True)
        return failed == 0 and passed > 0


def start(job, results, part):
    folder = os.path.join(results.log_folder, part)
    os.makedirs(folder, exist_ok=True)
    job.log = os.path.join(folder, re.sub(r'[^\w.+-]', '_', job.name) + '.log')
    job.started = time.monotonic()
    with open(job.log, 'w') as log:
        log.write('$ ' + ' '.join(job.argv) + '\n')
        log.flush()
        try:
            job.process = subprocess.Popen(job.argv, cwd=job.cwd, env={**os.environ, **job.env}, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as e:
            log.write(f'cannot start: {e}\n')


def kill(job):
    try:  # the whole group: it is the job's own, made by start_new_session
        os.killpg(job.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    job.process.wait()


def run_all(jobs, results, part, width):
    """Runs jobs, `width` of them at once, and counts them under `part`."""
    waiting, running, told = list(jobs), [], time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < width:
                job = waiting.pop(0)
                start(job, results, part)
                running.append(job)
            time.sleep(0.02)
            for job in list(running):
                code = 127 if job.process is None else job.process.poll()
                job.took = time.monotonic() - job.started
                if code is None and job.took > job.timeout:
                    job.timed_out = True
                    kill(job)
                    code = -signal.SIGKILL
                if code is not None:
                    running.remove(job)
                    results.add_output(part, job, code)
                    told = time.monotonic()
            if time.monotonic() - told > 30 and running:
                told = time.monotonic()
                results.say('  ... ' + ', '.join(f'{j.name} {j.took:.0f} s' for j in running) + f'; {len(waiting)} to come')
    except BaseException:
        for job in running:
            if job.process is not None and job.process.poll() is None:
                kill(job)
        raise


def run_one(name, argv, results, part, cwd=None, env=None, timeout=1800):
    """One step that other things hang on (a build): True when it passed."""
    job = Job(name, argv, cwd, env, timeout)
    before = len(results.failures)
    run_all([job], results, part, 1)
    return len(results.failures) == before


if __name__ == '__main__':
    sys.exit('this is a part of tools/test')
