#!/usr/bin/env python3
"""The runner behind tools/test counts rightly: every row is a program, and what must come of it. And its two lanes: what runs beside what, whose
failures are whose, that what must be alone is, and that an interrupted run leaves nothing behind."""
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tools', 'lib'))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from jobs import Job, Lane, Results, run_all, run_lane, run_one  # noqa: E402
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
    ('no_end_but_a_good_status', 'trap "exit 0" TERM; sleep 60 & wait', 1, 0, 1),
    ('reads_no_terminal', 'read x; test -z "$x"', 5, 1, 0),
]

tap = Tap()


def shell(name, program, timeout=60, is_alone=False):
    return Job(name, ['/bin/sh', '-c', program], timeout=timeout, is_alone=is_alone)


def quietly(what, *args):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = what(*args)
    return result, said.getvalue()


def state_of(pid):
    """Its letter in /proc, and its scheduling policy; None when it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0], os.sched_getscheduler(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None


def group_of(pid):
    """How nice its session is to others, where the kernel shares by sessions; else as nice as can be, for it does not matter."""
    try:
        with open(f'/proc/{pid}/autogroup') as f:
            return int(f.read().split()[-1])
    except OSError:
        return 19


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def until(is_there, patience=30):
    end = time.monotonic() + patience
    while not is_there() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(is_there())


def rows(folder):
    for name, program, timeout, want_passed, want_failed in ROWS:
        results = Results(folder)
        is_fine, said = quietly(lambda: run_all([shell(name, program, timeout)], results, 'part', 2) or results.summary())
        last = said.splitlines()[-1]
        tap.check('runner_' + name, results.parts['part'][:2] == [want_passed, want_failed] and is_fine == (want_failed == 0) and
                  last == f'{want_passed} passed, {want_failed} failed', said)
    results = Results(folder)
    said = quietly(run_all, [shell('why', 'echo ok a; echo "# of a"; echo not ok b; echo "# it was so"; echo "# and so"; echo not ok c; echo ok d; echo "# of d"; exit 1')],
                   results, 'part', 1)[1]
    told = said.splitlines()
    tap.check('runner_tells_why_at_once', [line.strip() for line in told[-4:]] == ['not ok b', '| # it was so', '| # and so', 'not ok c'], said)
    results = Results(folder)
    quietly(run_all, [Job('missing', ['/nowhere/at/all'])], results, 'part', 1)
    tap.check('runner_missing_program', results.parts['part'][:2] == [0, 1])
    tap.check('runner_nothing_run_is_no_success', quietly(Results(folder).summary)[0] is False)
    results = Results(folder)
    quietly(run_all, [shell('spins', 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'), shell('child', 'sh -c "while [ \\$((i+=1)) -lt 100000 ]; do :; done"; true')],
            results, 'part', 1)
    tap.check('runner_processor_time', results.parts['part'][3] > 0.02, results.parts)


# name, what it does at first, at the second try, how often it runs, passed, failed
TWICE = [
    ('well_the_second_time', 'echo ok a; echo not ok b; echo "# so it was"; exit 1', 'echo ok a; echo ok b', 2, 2, 0),
    ('never_well', 'echo not ok b; exit 1', 'echo ok a; echo not ok b; exit 1', 2, 1, 1),
    ('by_status_alone', 'exit 3', 'true', 2, 1, 0),
    ('no_end_at_first', 'sleep 60', 'true', 2, 1, 0),
    ('well_at_once', 'echo ok a', 'exit 1', 1, 1, 0),
    ('a_sanitizers_report', 'echo "==1==ERROR: AddressSanitizer: heap-use-after-free"; exit 1', 'true', 1, 0, 1),
    ('undefined_behaviour', 'echo "x.c:1:2: runtime error: shift"; echo not ok a; exit 1', 'true', 1, 0, 1),
    ('a_check_of_ours', 'echo "x.c:1: check failed: a == b"; exit 1', 'true', 1, 0, 1),
    ('it_died', 'kill -SEGV $$', 'true', 1, 0, 1),
    ('its_child_died', 'echo "plx-serve: segmentation fault in libx at 0x1"; echo not ok a; exit 1', 'true', 1, 0, 1),
    ('skipped', 'echo "ok a # SKIP"', 'true', 1, 0, 1),
]


def second_tries(folder):
    for name, first, then, runs, passed, failed in TWICE:
        results, count = Results(folder), os.path.join(folder, f'runs-{name}')
        job = shell(name, f'echo x >>{count}; if [ $(wc -l <{count}) = 1 ]; then {first}; else {then}; fi', 1 if 'no_end' in name else 60)
        job.tries = 2
        is_fine, said = quietly(lambda: run_all([job, shell('other', 'true')], results, 'part', 1) or results.summary())
        told = name in [line.split()[1] for line in said.splitlines() if 'at the second try' in line] and 'it has a second try' in said
        tap.check('twice_' + name, results.parts['part'][:2] == [passed + 1, failed] and is_fine == (failed == 0) and size_of(count) == 2 * runs and
                  told == (runs == 2), said)
        if runs == 2:
            tap.check(f'twice_{name}_is_told', said.index(name) < said.index('other') and f'{name} failed at first and {"failed" if failed else "passed"} at the' in said and
                      os.path.exists(os.path.join(folder, 'part', name + '.log.first')), said)
    tap.check('twice_is_for_whole_programs', subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, {os.path.join(TOP, "tools", "lib")!r}); import os, testall; os.chdir({TOP!r})\n'
         'assert all(j.tries == 2 for j in testall.scripts("tests/interop", "release"))'], capture_output=True).returncode == 0)


def both_lanes(folder):
    """What fails in either is counted where it belongs, told, and has its log; a failure beside a build is none of the build."""
    results = Results(folder)
    spare = Lane([shell('b1', 'echo ok b; echo words of b1'), shell('b2', 'echo words of b2; exit 4'), shell('b3', 'sleep 0.2; echo not ok c')], results, 'spare', 2, True)
    built, said = quietly(run_one, 'build', ['/bin/sh', '-c', 'sleep 1'], results, 'front', None, 60, spare)
    tap.check('lanes_a_build_is_judged_by_itself', built and results.parts['spare'][:2] == [1, 2], said)
    run = [shell('f1', 'echo words of f1; exit 5'), shell('f2', 'echo ok d')]
    told = quietly(run_all, run, results, 'front', 1, spare)[1]
    is_fine, summary = quietly(results.summary)
    tap.check('lanes_count', not is_fine and results.parts['front'][:2] == [2, 1] and summary.endswith('\n3 passed, 3 failed\n'), summary)
    tap.check('lanes_tell', 'FAILED spare, beside: b2 (' in said and 'ok     spare, beside: b1 (' in said and 'FAILED f1 (' in told, said + told)
    tap.check('lanes_summary_names', all(w in summary for w in ('front: f1 (exit status 5)', 'spare: b2 (exit status 4)', 'spare: b3: c', '| words of f1', '| words of b2')), summary)
    for part, name in (('front', 'f1'), ('spare', 'b1'), ('spare', 'b2')):
        with open(os.path.join(folder, part, name + '.log')) as f:
            log = f.read()
        tap.check(f'lanes_log_{name}', log.count('words of') == 2 and log.count(f'words of {name}') == 2, log)  # the command and what it said
    tap.check('lanes_nothing_left_to_run', spare.turn() is None and spare.ended == 3)


def alone(folder):
    """A spare job is seen from the jobs of the first lane: of the lowest kind, stopped beside one that must be alone, and going on after it."""
    results, pidfile = Results(folder), os.path.join(folder, 'pid')
    look = 'read _ _ s _ </proc/$(cat %s)/stat; echo seen $s' % pidfile
    spare = Lane([shell('spins', f'echo $$ >{pidfile}; while :; do :; done', timeout=0), shell('next', 'true')], results, 'spare', 1, True)
    quietly(run_all, [shell('waits', f'while [ ! -s {pidfile} ]; do sleep 0.02; done; sleep 0.2')], results, 'front', 1, spare)
    with open(pidfile) as f:
        pid = int(f.read())
    tap.check('spare_is_idle_kind', state_of(pid) == ('R', os.SCHED_IDLE), state_of(pid))
    tap.check('spare_is_behind_all_sessions', group_of(pid) == 19, group_of(pid))
    jobs = [shell('beside', look), shell('alone', f'sleep 1; {look}', is_alone=True), shell('alone_too', look, is_alone=True), shell('after', look)]
    quietly(run_all, jobs, results, 'front', 1, spare)
    seen = [re.search('seen (.)', open(j.log).read().partition('\n')[2])[1] for j in jobs]
    tap.check('spare_is_stopped_beside_what_is_alone', seen == ['R', 'T', 'T', 'R'], seen)
    job = spare.running[0]
    tap.check('stopped_time_is_not_its_own', 1 <= job.stopped and job.took + job.stopped <= time.monotonic() - job.started, f'{job.took} {job.stopped}')
    tap.check('spare_has_no_limit', not job.timed_out)
    spare.hold()
    spare.come_first()
    tap.check('spare_comes_first', until(lambda: state_of(pid) == ('R', os.SCHED_OTHER)), state_of(pid))
    said = quietly(run_lane, spare)[1]
    tap.check('spare_job_has_no_end', state_of(pid) is None and results.parts['spare'][:2] == [1, 1] and 'FAILED spins' in said and 'beside' not in said, said)

    # Wherever they stand, what must be alone is, also in a lane that is wide.
    path = os.path.join(folder, 'who')
    crowd = f'echo x >>{path}.$$; sleep 0.1; ls {path}.* | wc -l; rm {path}.$$'
    jobs = [shell(f'c{i}', crowd, is_alone=i in (2, 3, 5)) for i in range(7)]
    quietly(run_all, jobs, results, 'wide', 3)
    counts = [int(open(j.log).read().splitlines()[-1]) for j in jobs]
    tap.check('alone_in_a_wide_lane', [counts[i] for i in (2, 3, 5)] == [1, 1, 1] and results.parts['wide'][:2] == [7, 0], counts)


TREE = {
    'tests/smoke/first.sh': '#!/bin/sh\n# timeout: 7\n# alone: it looks at the clock\ntrue\n',
    'tests/smoke/second.sh': '#!/bin/sh\n# this one is not alone\necho "# alone:"\n',
}
RUN = '''
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)  # in the background of a shell it would be ignored, and so here
sys.path.insert(0, {lib!r})
import jobs, testall
def part_smoke(run):
    run.go([jobs.Job('first', ['sleep', '0.5']), jobs.Job('front', ['/bin/sh', '-c', {front!r}], is_alone={is_alone})], 1)

def simulations(build, suites):
    found = [jobs.Job(f'sim {{build}} {{i}}', ['/bin/sh', '-c', program]) for i, program in enumerate({sims!r})]
    for job in found:
        job.priority = 0
    return found

os.chdir({home!r})
jobs.POLITE = 30
testall.TOP, testall.part_smoke, testall.meson_tests, testall.Run.build = '.', part_smoke, simulations, lambda run, name: True
sys.argv[1:] = ['--no-setup', '--jobs', '2', {parts}]
testall.command()
'''


def scripts(folder):
    """What the heads of scripts say."""
    for name, text in TREE.items():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), 'w') as f:
            f.write(text)
        os.chmod(os.path.join(folder, name), 0o755)
    program = f'import sys; sys.path.insert(0, {os.path.join(TOP, "tools", "lib")!r}); import testall, os; os.chdir({folder!r})\n' \
        'print([(j.name, j.timeout, j.is_alone) for j in testall.scripts("tests/smoke", "release")])'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    tap.check('heads_of_scripts', done.stdout.strip() == "[('first', 7, True), ('second', 600, False)]", done.stdout + done.stderr)


# Of builds whose meson and ninja are made up: what is linked and what is compiled.
TARGETS = r'''
import json, os, sys
sys.path.insert(0, {lib!r})
import testall
testall.TOP = {home!r}
for build in ('release', 'asan', 'debian13'):
    folder = os.path.join({home!r}, testall.BUILDS[build][0])
    os.makedirs(folder + '/meson-info')
    programs = ['apps/serve', 'bench/cores', 'bench/bench_base', 'bench/wire', 'bench/wire-count', 'tests/t']
    targets = [dict(id=p, name=p.split('/')[-1], type='executable', filename=[folder + '/' + p], build_by_default=True) for p in programs]
    targets += [dict(id='g', name='g', type='custom', filename=[folder + '/g'], build_by_default=True), dict(id='x', name='x', type='executable', filename=[folder + '/x'], build_by_default=False)]
    tests = [dict(name=p, cmd=[folder + '/' + p], suite=[s], depends=[]) for p, s in (('tests/t', 'unit'), ('bench/cores', 'p:smoke'))]
    for what, value in (('targets', targets), ('tests', tests)):
        with open(folder + f'/meson-info/intro-{{what}}.json', 'w') as f:
            json.dump(value, f)
    with open(folder + '/build.ninja', 'w') as f:
        f.write('rule c_COMPILER\n command = true\nrule c_LINKER\n command = true\nbuild bench/b.o: c_COMPILER b.c\nbuild tests/t.o: c_COMPILER t.c\nbuild tests/t: c_LINKER tests/t.o\n')
os.chdir({home!r})
for build in ('release', 'asan', 'clang', 'debian13'):
    print(build, *testall.WANTED[build]())
'''
LINKED = '''release apps/serve bench/cores bench/wire tests/t bench/b.o tests/t.o
asan apps/serve bench/cores tests/t
clang
debian13 apps/serve tests/t bench/b.o tests/t.o
'''


def builds(folder):
    """What each build makes, and what ThreadSanitizer has nothing to find in."""
    home, lib = os.path.join(folder, 'builds'), os.path.join(TOP, 'tools', 'lib')
    done = subprocess.run([sys.executable, '-c', TARGETS.format(lib=lib, home=home)], capture_output=True, text=True)
    tap.check('builds_make_what_is_used', done.stdout == LINKED, done.stdout + done.stderr)
    racing = []
    for name, body in (('nothing', 'return 0'), ('makes_a_thread', 'pthread_t t; return pthread_create(&t, 0, 0, 0)'), ('takes_a_lock', 'static pthread_mutex_t m; return pthread_mutex_lock(&m)')):
        path = os.path.join(folder, name)
        subprocess.run(['gcc', '-pthread', '-x', 'c', '-', '-o', path], input=f'#include <pthread.h>\nint main(void) {{ {body}; }}\n', text=True, check=True)
        racing.append(path)
    racing.append(os.path.join(TOP, 'tools', 'test'))
    program = f'import sys; sys.path.insert(0, {lib!r}); import testall, types; print([testall.can_race(types.SimpleNamespace(program=p)) for p in {racing!r}])'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    tap.check('builds_what_can_race', done.stdout.strip() == '[False, True, True, False]', done.stdout + done.stderr)


FRONT = 'echo $$ >front; trap "echo took down >>front" TERM; while [ $(wc -l <front) = 1 ]; do sleep 0.05 & wait; done'


def started(folder, name, is_alone=False, front=FRONT, sims=('while :; do :; done',), parts="'smoke', 'sim'"):
    """tools/test itself, with parts of ours: (where it runs, the process)."""
    home = os.path.join(folder, name)
    os.makedirs(home)
    program = RUN.format(lib=os.path.join(TOP, 'tools', 'lib'), home=home, is_alone=is_alone, front=front, sims=sims, parts=parts)
    return home, subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def whole(folder):
    """The end of a run tells how much of the simulation was done beside other parts; failures of either lane are in its exit status."""
    run = started(folder, 'whole', front='sleep 1', sims=('true', 'exit 9', 'sleep 2.5'))[1]
    said = run.communicate(timeout=60)[0]
    rows = {line.split()[0]: line.split()[1:3] for line in said.partition('\npart ')[2].splitlines()[1:] if len(line.split()) == 5}
    tap.check('whole_counts', run.returncode == 1 and rows == {'smoke': ['2', '0'], 'sim': ['4', '2']} and said.endswith('\n6 passed, 2 failed\n'), said)
    tap.check('whole_order', said.index('sim begins') < said.index('] smoke') < said.index('FAILED sim, beside: sim release 1') < said.index('] sim\n') < said.index('ok     sim asan 2'), said)
    done = re.search(r'^sim: (\d) of 6 programs had ended beside other parts, with 0:00 of processors; its time is that of the rest$', said, re.M)
    tap.check('whole_note', done and 2 <= int(done[1]) < 6, said)
    run = started(folder, 'by itself', sims=('true',), parts="'sim'")[1]
    said = run.communicate(timeout=60)[0]
    tap.check('whole_sim_by_itself', run.returncode == 0 and 'beside' not in said and said.endswith('\n2 passed, 0 failed\n'), said)
    run = started(folder, 'none', front='true', sims=())[1]
    said = run.communicate(timeout=60)[0]
    tap.check('whole_nothing_found', run.returncode == 1 and 'FAILED sim: no test programs found' in said and said.endswith('\n2 passed, 1 failed\n'), said)
    run = started(folder, 'only', front='true', sims=('false',), parts="'smoke', 'sim', '--only', 'fron*'")[1]
    said = run.communicate(timeout=60)[0]
    tap.check('whole_only', run.returncode == 0 and said.endswith('\n1 passed, 0 failed\n'), said)


def interrupted(folder):
    """tools/test itself with a part of ours and a simulation that never ends: one signal, and all of both lanes is gone, also what was stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        for is_alone, letter in ((True, 'T'), (False, 'R')):
            name = f'{signal.Signals(number).name}_{"alone" if is_alone else "beside"}'
            home, run = started(folder, name, is_alone)

            def children():
                with open(f'/proc/{run.pid}/task/{run.pid}/children') as f:
                    return {int(pid): state_of(int(pid)) for pid in f.read().split()}
            tap.check(f'interrupt_{name}_began', until(lambda: size_of(os.path.join(home, 'front')) > 0 and
                                                       list(children().values()).count((letter, os.SCHED_IDLE)) == 2), children())
            pids = children()
            run.send_signal(number)
            said = run.communicate(timeout=60)[0]
            tap.check(f'interrupt_{name}_ends_both', run.returncode == 1 and 'interrupted' in said and len(pids) == 3 and not any(map(state_of, pids)), f'{said}\n{pids}')
            with open(os.path.join(home, 'front')) as f:
                tap.check(f'interrupt_{name}_asks_first', 'took down' in f.read())


with tempfile.TemporaryDirectory(prefix='plx-runner-') as the_folder:
    for test in (rows, second_tries, both_lanes, alone, scripts, builds, whole, interrupted):
        test(the_folder)
sys.exit(tap.end())
