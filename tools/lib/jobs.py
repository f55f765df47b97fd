"""jobs.py -- runs test programs side by side, keeps their output, and counts.

A job is one program. What it prints goes to a log of its own. A program may report parts of itself, one line each:
    ok NAME
    not ok NAME
and then each such line counts; a program that prints none counts as one, by its exit status. A program that fails without
having named a failed part counts as one failure more, so nothing can fail unseen. There is no third result: what cannot
run has failed.

What depends on clocks, on other people's programs and on a kernel's queues may fail because the machine did something else for a second. Such a
job may have a second try, behind all others of its lane. The first is told at once and in the summary, with its log, whatever comes of the second, and
what no machine's mood explains (a sanitizer's report, a failed check, a program that died) has no second try.

Jobs wait in lanes. One lane runs a part, and what it starts has the processors first. Beside it there may be a spare lane, for
jobs that want processor time and nothing else: they get what the first lane leaves (the kernel runs them only where nothing
else would run), and while a job of the first lane runs that must be alone, they are stopped. Stopped time is no time of theirs.
Both lanes belong to one loop, so nothing here has a thread.
"""
import os
import re
import signal
import subprocess
import sys
import time

TAP = re.compile(r'^(ok|not ok)\b[ \t]*(?:\d+[ \t]*)?(?:-[ \t]*)?([^\n#]*)(#[ \t]*(?i:skip))?', re.M)

LOGS_SHOWN, LINES_SHOWN = 6, 80  # of failures, at the end
WHY_SHOWN = 24  # lines that a failed check says
NO_SECOND_TRY = re.compile(r'Sanitizer|runtime error:|check failed|segmentation fault|bus error|core dumped', re.I)
POLITE = 10  # seconds between being asked to end and being ended


def quoted(text, count):
    """The last lines of a log, set apart so that none of them can be taken for the runner's own."""
    return '\n'.join('           | ' + line for line in text.splitlines()[-count:])


def said_of(name, text):
    """What a program prints behind `not ok NAME`, each line behind a `#`, up to its next result."""
    lines = text.splitlines()
    begin = next((i for i, line in enumerate(lines) if line.startswith('not ok') and name in line), len(lines))
    behind = lines[begin + 1:]
    return behind[:next((i for i, line in enumerate(behind) if not line.startswith('#')), len(behind))]


def minutes(seconds):
    return f'{int(seconds) // 60}:{int(seconds) % 60:02}'


class Job:
    def __init__(self, name, argv, cwd=None, env=None, timeout=600, is_alone=False, tries=1):
        self.name, self.argv, self.cwd, self.env, self.timeout, self.is_alone, self.tries = name, argv, cwd, env or {}, timeout, is_alone, tries
        self.reset()

    def reset(self):
        self.log = self.process = self.started = None
        self.took = self.stopped = self.cpu = 0.0  # cpu: of it and of what it has waited for
        self.timed_out = False

    def may_try_again(self, code):
        """It failed, and somebody else may be why."""
        if self.tries < 2 or (code < 0 and not self.timed_out):
            return False
        with open(self.log, errors='replace') as f:
            text = f.read()
        return (code != 0 or re.search(r'^not ok\b', text, re.M)) and not NO_SECOND_TRY.search(text)

    def poll(self):
        """Its exit status; None while it runs."""
        if self.process is None:
            return 127
        if self.process.returncode is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu = usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def signal(self, number):
        """To the whole group: it is the job's own, made by start_new_session."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


class Results:
    """Counts per part, failures with their logs, and the clock."""

    def __init__(self, log_folder):
        self.log_folder = log_folder
        self.begun = time.monotonic()
        self.parts = {}     # part -> [passed, failed, seconds, seconds of processors]
        self.failures = []  # (part, name, log, hint)
        self.shaken = []    # (part, name, log) of first tries that failed
        self.notes = []     # what stands under the table

    def say(self, text):
        seconds = int(time.monotonic() - self.begun)
        print(f'[{seconds // 60:3}:{seconds % 60:02}] {text}', flush=True)

    def of(self, part):
        return self.parts.setdefault(part, [0, 0, 0.0, 0.0])

    def add(self, part, name, is_ok, log=None, hint=''):
        counts = self.of(part)
        counts[0 if is_ok else 1] += 1
        if not is_ok:
            self.failures.append((part, name, log, hint))

    def add_output(self, part, job, code, where=''):
        """where: stands before the name, in the line that tells of it."""
        self.of(part)[3] += job.cpu
        with open(job.log, errors='replace') as f:
            text = f.read()
        if job.may_try_again(code):
            self.say(f'  failed {where}{job.name} ({job.took:.1f} s); it has a second try')
            self.tell_why([m.group(2).strip() for m in TAP.finditer(text) if m.group(1) != 'ok'], text)
            first = f'{job.log}.first'
            os.replace(job.log, first)
            self.shaken.append((part, job.name, first))
            return False
        lines = [(m.group(1) == 'ok' and not m.group(3), m.group(2).strip(), bool(m.group(3))) for m in TAP.finditer(text)]
        for is_ok, name, skipped in lines:
            self.add(part, f'{job.name}: {name}', is_ok, job.log, 'skipped itself' if skipped else '')
        bad = [n for is_ok, n, _ in lines if not is_ok]
        if code != 0 and not bad:
            hint = 'no end after %d s' % job.timeout if job.timed_out else f'exit status {code}'
            self.add(part, job.name, False, job.log, hint)
        elif not lines:
            self.add(part, job.name, True)
        count = f', {len(lines)} checks' if lines else ''
        self.say(f'  {"FAILED" if bad or code != 0 else "ok    "} {where}{job.name} ({job.took:.1f} s{count})')
        if bad or code != 0:
            self.tell_why(bad, text)
        return True

    def tell_why(self, bad, text):
        for n in bad[:10]:
            print(f'           not ok {n}')
            for line in said_of(n, text)[-WHY_SHOWN:]:
                print(quoted(line, 1), flush=True)
        if not bad:
            print(quoted(text, 12), flush=True)

    def summary(self):
        print('\n%-12s %8s %8s %9s %10s' % ('part', 'passed', 'failed', 'time', 'processor'))
        for part, (passed, failed, seconds, cpu) in self.parts.items():
            print('%-12s %8d %8d %9s %10s' % (part, passed, failed, minutes(seconds), minutes(cpu)))
        for note in self.notes:
            print(note)
        for part, name, log in self.shaken:
            came = 'failed' if any(p == part and n.partition(':')[0] == name for p, n, _, _ in self.failures) else 'passed'
            print(f'{part}: {name} failed at first and {came} at the second try; the first log: {os.path.relpath(log)}')
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


def end(jobs):
    """Ends jobs with all that they have started. Asked first, scripts take their servers and namespaces down."""
    for job in jobs:
        if job.poll() is None:
            job.signal(signal.SIGTERM)
            job.signal(signal.SIGCONT)
    until = time.monotonic() + POLITE
    while any(job.poll() is None for job in jobs) and time.monotonic() < until:
        time.sleep(0.02)
    for job in jobs:
        if job.process is not None:
            job.signal(signal.SIGKILL)
            while job.poll() is None:
                time.sleep(0.02)


class Lane:
    """Jobs of a part, `width` of them at once. A spare lane runs them where nothing else would run, so no clock tells that one hangs: as long as it is
    spare its jobs may take any time."""

    def __init__(self, jobs, results, part, width, is_spare=False):
        self.waiting, self.running, self.ended = list(jobs), [], 0
        self.results, self.part, self.width, self.is_spare = results, part, width, is_spare
        self.held, self.cpu = None, 0.0  # since when; of what has ended

    def has_room(self):
        if not self.waiting or len(self.running) >= self.width or self.held is not None:
            return False
        return not self.running or not (self.waiting[0].is_alone or self.running[0].is_alone)

    def start(self, beside):
        job = self.waiting.pop(0)
        if beside:
            (beside.hold if job.is_alone else beside.release)()
        start(job, self.results, self.part)
        if self.is_spare:
            self.schedule(job, os.SCHED_IDLE, 19)
        self.running.append(job)

    def turn(self, beside=None):
        """Starts what there is room for and counts what has ended. How many have; None when nothing is left."""
        while self.has_room():
            self.start(beside)
        count = 0
        for job in list(self.running):
            code, now = job.poll(), time.monotonic()
            job.took = (self.held or now) - job.started - job.stopped
            if code is None and job.took > job.timeout and not self.is_spare:
                job.timed_out = True
                end([job])
                code = -signal.SIGKILL
            if code is not None:
                self.running.remove(job)
                self.cpu += job.cpu
                if not self.results.add_output(self.part, job, code, f'{self.part}, beside: ' if self.is_spare else ''):
                    job.reset()
                    job.tries -= 1
                    self.waiting.append(job)
                    continue
                count += 1
        self.ended += count
        return count if self.waiting or self.running else None

    def hold(self):
        """Stops what runs, until release()."""
        if self.held is None:
            self.held = time.monotonic()
            for job in self.running:
                if job.poll() is None:
                    job.signal(signal.SIGSTOP)

    def release(self):
        if self.held is not None:
            for job in self.running:
                job.stopped += time.monotonic() - self.held
                if job.poll() is None:
                    job.signal(signal.SIGCONT)
            self.held = None

    @staticmethod
    def schedule(job, policy, nice):
        """Where the kernel groups processes by session it is between groups that it shares the processors out, whatever is in them: so both are told."""
        try:
            os.sched_setscheduler(job.process.pid, policy, os.sched_param(0))
            with open(f'/proc/{job.process.pid}/autogroup', 'w') as f:
                f.write(str(nice))
        except AttributeError:  # it could not be started
            pass
        except OSError:  # it has ended; there are no such groups; or back to the usual, which only root may: nothing is before it any more
            pass

    def end(self):
        end(self.running)

    def come_first(self):
        """From now on a lane like any other."""
        self.release()
        self.is_spare = False
        for job in self.running:
            job.timeout += job.took
            self.schedule(job, os.SCHED_OTHER, 0)

    def told(self):
        return ', '.join(f'{j.name} {j.took:.0f} s' for j in self.running) + f'; {len(self.waiting)} to come'


def run_lane(lane, beside=None):
    """Runs a lane to its end, and meanwhile as much of the spare lane beside it as there is room for."""
    told = time.monotonic()
    try:
        while (count := lane.turn(beside)) is not None:
            if beside:
                beside.turn()
            time.sleep(0.02)
            if count:
                told = time.monotonic()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                stopped = ' (stopped)' if beside and beside.held is not None else ''
                lane.results.say(f'  ... {lane.told()}' + (f'; beside{stopped}: {beside.told()}' if beside and beside.running else ''))
    except BaseException:
        lane.end()
        raise


def run_all(jobs, results, part, width, beside=None):
    """Runs jobs, `width` of them at once, and counts them under `part`."""
    run_lane(Lane(jobs, results, part, width), beside)


def run_one(name, argv, results, part, env=None, timeout=1800, beside=None):
    """One step that other things hang on (a build): True when it passed."""
    job = Job(name, argv, None, env, timeout)
    run_all([job], results, part, 1, beside)
    return not any(log == job.log for _, _, log, _ in results.failures)


if __name__ == '__main__':
    sys.exit('this is a part of tools/test')
