"""What tools/test runs: proves the whole of it. What CI runs is this and nothing else.

Usage: tools/test [OPTION...] [PART...]

  unit      unit tests and the kept fuzz corpora, in a release build and with ASan+UBSan
  sim       scenarios in virtual time through the real engine, 500 seeds each in both builds
  clang     builds with clang, warnings as errors, and runs the unit tests
  tsan      unit tests and tests/smoke/tsan_* with ThreadSanitizer
  fuzz      every libFuzzer target, on top of its kept corpus
  smoke     tests/smoke and meson's suite of that name: whole programs, short (needs root for namespaces)
  install   outside programs, built with what meson installs and its pkg-config file
  interop   tests/interop: against curl, ngtcp2, aioquic, Chromium, nginx, caddy, haproxy (needs root)
  debian13  builds in a Debian 13 root with that release's own compiler and libraries, and runs the unit tests there (needs root)
  qif DIR   the QPACK collection in DIR, both directions, and its faulty files
  tidy      formatting, the direction of includes, citations
  bench     bench/check: instructions per request, counted by valgrind, against the committed figures
  all       every part; this is what no PART means

  --fuzz-seconds N   seconds for each fuzz target (60)
  --seeds N          of sim: N seeds of everything in both builds, 25 to a program, and nothing divided or spread. Without it, in CI, it
                     is 500, of which `fairness` (five gigabytes each) takes 10 and 2, and with the sanitizers each seed of `one_lost_*`
                     loses one of the 20 datagrams, not each in turn, and four of five long transfers are a fifth as long. 500 of everything: hours
  --only GLOB        of the chosen parts, only programs whose name matches
  --jobs N           programs side by side (the number of processors)
  --no-setup         takes the machine as it is
  --list             says what would run

Programs are found, not listed here: meson says which tests there are, the folders say which scripts. A script is any
executable *.py or *.sh; a line "# timeout: SECONDS" among its first thirty changes how long it may take, and a line "# alone: WHY"
says that nothing may run beside it. Its environment names the build in PLX_BUILD.

Many parts wait more than they compute. The simulation has a clock of its own and does not mind when it runs: where it comes after such
parts, as it does among all, it runs beside them on what they leave of the processors, from the first part on that is not `tidy` or
`unit`. While a program runs that must be alone it is stopped. What is left of it at its own turn has the machine for itself.

Logs are kept in build/test-logs. The last line is "N passed, N failed"; nothing can be skipped:
what is missing is a failure that says what to do.
"""
import fnmatch
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from jobs import Job, Lane, Results, minutes, run_all, run_lane, run_one

os.chdir(TOP)
SHARED = os.path.join(os.path.dirname(TOP), 'shared')
PARTS = ['tidy', 'unit', 'clang', 'tsan', 'smoke', 'install', 'interop', 'debian13', 'qif', 'bench', 'sim', 'fuzz']  # quick ones first
TRIES = 2  # of whole programs, which live by clocks and beside other people's programs
WITHOUT_SPARE = ('tidy', 'unit', 'sim')  # parts that nothing runs beside: what comes before the builds it needs, and itself

SANE = {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1:strict_string_checks=1', 'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
        'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}
# name -> (folder, compiler, meson options). debugoptimized keeps the sanitizers' traces readable. -O3 and errors that nothing comes back
# from (the options above end the program anyway) make the simulation a fifth cheaper with ASan and UBSan; compiling takes a tenth more. What
# GCC warns of in such a build is often wrong, so there it only warns; the other builds are the strict ones.
BUILDS = {
    'release': ('build', 'gcc', ['-Dbuildtype=release', '-Db_sanitize=none', '-Ddebug-checks=false']),
    'asan': ('build-asan', 'gcc', ['-Dbuildtype=debugoptimized', '-Doptimization=3', '-Dc_args=-fno-sanitize-recover=all -Wno-error', '-Db_sanitize=address,undefined',
                                   '-Db_lundef=false', '-Ddebug-checks=true']),
    'tsan': ('build-tsan', 'gcc', ['-Dbuildtype=debugoptimized', '-Db_sanitize=thread', '-Db_lundef=false', '-Ddebug-checks=true']),
    'clang': ('build-clang', 'clang', ['-Dbuildtype=release']),
    'fuzz': ('build-fuzz', 'clang', ['-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false',
                                     '-Ddebug-checks=true', '-Dfuzz=true']),
    'debian13': ('build-debian13', 'gcc', []),  # made by tools/debian13
}


class Run:
    def __init__(self):
        self.parts, self.qif_folder = [], None
        self.fuzz_seconds, self.only, self.jobs = 60, None, os.cpu_count() or 1
        self.seeds = None
        self.setup, self.list = True, False
        self.results = Results(os.path.join(TOP, 'build', 'test-logs'))
        self.built = {}
        self.part = None
        self.spare, self.is_begun = None, False  # the simulation, beside other parts

    def wanted(self, jobs):
        jobs = [j for j in jobs if not self.only or fnmatch.fnmatchcase(j.name, self.only)]
        if self.list:
            for j in jobs:
                print(f'{self.part:10} {j.name}')
            return []
        return jobs

    def go(self, jobs, width=None):
        """Runs the jobs of a part. A part that finds nothing to run has failed, unless --only asked for something else."""
        chosen = self.wanted(jobs)
        if not jobs:
            self.results.add(self.part, 'discovery', False, None, 'no test programs found')
            self.results.say(f'  FAILED {self.part}: no test programs found')
        run_all(chosen, self.results, self.part, width or self.jobs, self.spare)

    def one(self, name, argv, env=None):
        return run_one(name, argv, self.results, self.part, env=env, beside=self.spare)

    def build(self, name, targets=None):
        """Builds once per run; False when it failed (and then it has been counted). targets() names what is wanted, when that is not what WANTED says."""
        if name not in self.built:
            folder, compiler, options = BUILDS[name]
            env = {'CC': ('ccache ' if shutil.which('ccache') else '') + compiler, 'CCACHE_SLOPPINESS': 'pch_defines,time_macros'}
            fresh = not os.path.exists(os.path.join(folder, 'build.ninja'))
            configure = ['meson', 'setup', *([] if fresh else ['--reconfigure']), folder, '-Dwerror=true', *options]
            self.built[name] = (self.one(f'configure {name}', configure, env) and
                                self.one(f'build {name}', ['ninja', '-C', folder, f'-j{self.jobs}', *(targets or WANTED[name])()], env))
        return self.built[name]


# --- what meson knows ------------------------------------------------------------------------------------

SUITES = {'unit', 'fuzz', 'sim', 'smoke', 'threads'}  # a test outside of all of them would never run: that is an error

def known(build, what):
    with open(os.path.join(BUILDS[build][0], 'meson-info', f'intro-{what}.json')) as f:  # the same as meson introspect, of any version
        return json.load(f)


def programs_of(build, suites):
    """What ninja must make for the tests of these suites, and no more."""
    folder = os.path.join(TOP, BUILDS[build][0]) + os.sep
    files = {t['id']: t['filename'] for t in known(build, 'targets')}
    wanted = [t for t in known(build, 'tests') if {s.split(':')[-1] for s in t['suite']} & suites]
    paths = {p for t in wanted for p in t['cmd']} | {p for t in wanted for d in t.get('depends', []) for p in files[d]}
    return sorted(p[len(folder):] for p in paths if p.startswith(folder))


BY_HAND = ('bench_*', 'wire-count')  # of bench/: what no test runs; bench/check makes a wire-count of its own

def links_of(build, suites=None):
    """What is worth linking: everything but benches that nothing runs. With suites, no bench is run but their tests; otherwise scripts run them."""
    folder = os.path.join(TOP, BUILDS[build][0]) + os.sep
    files = {f[len(folder):]: t for t in known(build, 'targets') if t['build_by_default'] and t['type'] != 'custom' for f in t['filename']}
    tested = programs_of(build, suites) if suites else []
    return sorted(f for f, t in files.items() if f in tested or not f.startswith('bench/') or
                  not (suites or any(fnmatch.fnmatchcase(t['name'], p) for p in BY_HAND)))


def objects_of(build):
    """Every file compiled: what is not linked has passed the compiler all the same, warnings being errors."""
    said = subprocess.run(['ninja', '-C', BUILDS[build][0], '-t', 'targets', 'rule', 'c_COMPILER'], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if line.endswith('.o')]


def can_race(job):
    """What makes no thread and takes no lock (and scripts, which run nothing of this build that does) holds nothing that ThreadSanitizer could find."""
    said = subprocess.run(['nm', '-D', '--undefined-only', job.program], capture_output=True, text=True).stdout
    return re.search(r' (pthread_create|pthread_mutex_lock|thrd_create)\b', said) is not None


# What is made of a build, where no part knows better: clang's links everything. Fewer where linking is dear (the optimiser sees the whole
# library in each program of bench/) or nothing warns of anything (asan).
WANTED = {
    'release': lambda: links_of('release') + objects_of('release'),
    'asan': lambda: links_of('asan', {'unit', 'fuzz', 'sim', 'smoke'}),
    'clang': lambda: [],
    'debian13': lambda: links_of('debian13', {'unit', 'fuzz'}) + objects_of('debian13'),
}


def fuzzers_of(build):
    return [t for t in known(build, 'targets') if t['type'] == 'executable' and t['name'].startswith('fuzz_')]


def meson_tests(build, suites):
    """The test programs of a build that belong to one of the suites, as jobs; those of higher priority first."""
    folder = BUILDS[build][0]
    tests = sorted(known(build, 'tests'), key=lambda t: -t['priority'])
    jobs = []
    for t in tests:
        names = {s.split(':')[-1] for s in t['suite']} - {'seeded'}
        if not names & SUITES:
            raise ValueError(f'the meson test {t["name"]} is in none of the suites {sorted(SUITES)}; nothing would run it')
        room = '/'.join(sorted(names - SUITES))  # the layer; the same noun may live in two
        if not names & suites:
            continue
        kind = next(s for s in ('sim', 'fuzz', 'smoke', 'unit') if s in names or s == 'unit')
        slow = 1 if build in ('release', 'clang', 'debian13') else 6
        argv = list(t['cmd'])
        if slow > 1:  # sanitizers of this age cannot find their shadow under a highly randomized address space
            argv = ['setarch', '-R'] + argv
        name = t['name'] if kind == 'unit' or t['name'].startswith(kind) else f'{kind}_{t["name"]}'
        job = Job(f'{room}/{name} ({build})'.lstrip('/'), argv, t.get('workdir') or os.path.join(TOP, folder), {**SANE, **t['env']},
                  max(t['timeout'], {'unit': 120, 'fuzz': 120, 'smoke': 120, 'sim': 900}[kind]) * (slow if kind != 'sim' else 2),
                  not t['is_parallel'], TRIES if names & {'smoke', 'threads'} else 1)
        job.program, job.priority, job.is_seeded = t['cmd'][0], t['priority'], any(s.endswith(':seeded') or s == 'seeded' for s in t['suite'])
        jobs.append(job)
    return jobs


def scripts(folder, build, want=lambda name: True):
    jobs = []
    for path in sorted(glob.glob(f'{folder}/*.py') + glob.glob(f'{folder}/*.sh')):
        name = os.path.basename(path)
        if not os.access(path, os.X_OK) or not want(name):
            continue
        with open(path) as f:
            head = ''.join(f.readline() for _ in range(30))
        limit = re.search(r'^# timeout: (\d+)', head, re.M)
        is_alone = re.search(r'^# alone: \S', head, re.M) is not None
        argv = [os.path.join(TOP, path)]
        if build in ('asan', 'tsan'):
            argv = ['setarch', '-R'] + argv
        jobs.append(Job(name.rsplit('.', 1)[0], argv, TOP, {'PLX_BUILD': os.path.join(TOP, BUILDS[build][0]), 'PYTHONUNBUFFERED': '1', **SANE},
                        int(limit.group(1)) if limit else 600, is_alone, TRIES))
    return jobs


def is_for(build):
    """Scripts named asan_* and tsan_* want that build; all others the release."""
    def want(name):
        prefix = name.split('_')[0]
        return prefix == build if build in ('asan', 'tsan') else prefix not in ('asan', 'tsan')
    return want


# --- the parts -------------------------------------------------------------------------------------------

def part_tidy(run):
    argv = ['tools/tidy']
    if os.path.isdir(os.path.join(SHARED, 'rfc')):
        argv += ['--rfc', os.path.join(SHARED, 'rfc')]
    run.go([Job('tidy', argv)])


def part_unit(run):
    jobs = []
    for build in ('release', 'asan'):
        if run.build(build):
            jobs += meson_tests(build, {'unit', 'fuzz'})
    run.go(jobs)


SEEDS, SEEDS_EACH = 500, 25  # of a scenario; of a program, where there are hours of them

def some_seeds(job, first, last):
    env = {'PLX_SIM_FROM': str(first), 'PLX_SIM_SEEDS': str(last - first + 1), 'PLX_SIM_WHOLE': '1', **job.env}
    return Job(f'{job.name} seeds {first}-{last}', job.argv, job.cwd, env, 4 * job.timeout)


def sim_jobs(run):
    long, short = [], []  # two cores are busy to the end when what takes long begins first
    for build in ('release', 'asan'):
        if not run.build(build):
            continue
        for job in meson_tests(build, {'sim'}):
            if run.seeds is None or not job.is_seeded:
                job.env = {'PLX_SIM_SEEDS': str(SEEDS), **job.env}
                (long if job.priority > 0 else short).append(job)
                continue
            for first in range(1, run.seeds + 1, SEEDS_EACH):
                (long if job.priority > 0 else short).append(some_seeds(job, first, min(first + SEEDS_EACH - 1, run.seeds)))
    return long + short


def begin_sim(run):
    """The simulation begins beside the parts that come before its own."""
    run.results.say('sim begins, beside what comes')
    run.is_begun = True
    jobs = sim_jobs(run)
    run.spare = Lane(run.wanted(jobs), run.results, 'sim', run.jobs, is_spare=True)
    run.spare.found = jobs


def part_sim(run):
    lane = run.spare
    if lane is None:
        run.go(sim_jobs(run))
        return
    chosen = len(lane.waiting) + len(lane.running) + lane.ended
    if not chosen:  # --only: there is nothing of it, or it was not found
        run.spare = None
        run.go(lane.found)
        return
    note = f'sim: {lane.ended} of {chosen} programs had ended beside other parts, with {minutes(lane.cpu)} of processors'
    run.results.say('  ' + note)
    run.results.notes.append(note + '; its time is that of the rest')
    lane.come_first()
    run_lane(lane)
    run.spare = None  # until here, an interrupted run looks for it there


def part_clang(run):
    if run.build('clang'):
        run.go(meson_tests('clang', {'unit', 'fuzz'}))


def part_tsan(run):
    suites = {'unit', 'threads'}  # scripts of tests/smoke named tsan_* would find their programs there, too
    if run.build('tsan', lambda: programs_of('tsan', suites)):
        jobs = meson_tests('tsan', suites)
        racing = [j for j in jobs if can_race(j)]
        run.results.say(f'  {len(jobs) - len(racing)} of {len(jobs)} programs make no thread and take no lock')
        run.go(racing)
        found = scripts('tests/smoke', 'tsan', is_for('tsan'))
        if found:
            run.go(found, 1)


# A fuzz target has a minute of the clock, and how much of that on a processor depends on its company. Most try thousands of inputs in a second of
# a processor, and ten seconds of one are enough for what a change has broken; these try 20 to 700: they come last, in smaller company, the slowest
# at the very end, where the fewest are left.
SLOW_TARGETS = ('fuzz_acks', 'fuzz_recovery', 'fuzz_slab', 'fuzz_streams', 'fuzz_engine_rx', 'fuzz_conn_frames', 'fuzz_conn_wire')

def part_fuzz(run):
    folder = os.path.join(TOP, BUILDS['fuzz'][0])
    if not run.build('fuzz', lambda: [os.path.relpath(t['filename'][0], folder) for t in fuzzers_of('fuzz')]):
        return
    jobs = []
    for t in fuzzers_of('fuzz'):
        name = t['name'][len('fuzz_'):]
        seeds, grown = f'tests/corpus/{name}', f'build/fuzz-corpus/{name}'
        os.makedirs(grown, exist_ok=True)
        argv = ['setarch', '-R', t['filename'][0], f'-max_total_time={run.fuzz_seconds}', '-timeout=20', '-rss_limit_mb=3000',
                '-print_final_stats=1', f'-artifact_prefix={run.results.log_folder}/{t["name"]}-', grown]
        argv += [seeds] if os.path.isdir(seeds) else []
        jobs.append(Job(t['name'], argv, TOP, {**SANE, 'ASAN_OPTIONS': 'detect_leaks=1'}, run.fuzz_seconds + 120))
    slow = sorted((j for j in jobs if j.name in SLOW_TARGETS), key=lambda j: SLOW_TARGETS.index(j.name))
    if len(slow) < len(SLOW_TARGETS):
        raise ValueError(f'not all of {", ".join(SLOW_TARGETS)} are fuzz targets')
    run.go([j for j in jobs if j not in slow], 6 * run.jobs)  # a sixth of its minute on a core
    run.go(slow, 2 * run.jobs)  # half of it


def has_peers(run):
    """Other people's programs, made once per machine; that takes minutes, which no script should have to allow for."""
    if 'peers' not in run.built:
        run.built['peers'] = run.list or run.one('peers', ['tools/peers'])
    return run.built['peers']


def part_smoke(run):
    has_peers(run)
    jobs = []
    for build in ('release', 'asan'):
        if run.build(build):
            jobs += meson_tests(build, {'smoke'}) + scripts('tests/smoke', build, is_for(build))
    run.go(jobs, 1)


def part_install(run):
    if run.build('release'):
        run.go([Job('install', ['tools/lib/install_check.py', BUILDS['release'][0]])])


def part_bench(run):
    run.go([Job('check', ['bench/check'])])


def part_interop(run):
    if os.getuid() != 0:
        run.results.add('interop', 'root', False, None, 'needs root: network namespaces, chroot. Run: sudo -E tools/test interop')
        return
    if has_peers(run) and run.build('release'):
        run.go(scripts('tests/interop', 'release', lambda n: n.startswith('test_')), 1)


def part_debian13(run):
    if os.getuid() != 0:
        run.results.add('debian13', 'root', False, None, 'needs root: chroot and a mount namespace. Run: sudo -E tools/test debian13')
        return
    if not (run.list or run.one('debian13 root', ['tools/debian13', 'make'])):
        return
    if run.one('debian13 configure', ['tools/debian13', 'configure']) and \
       run.one('debian13 build', ['tools/debian13', 'ninja', *WANTED['debian13']()], {'PLX_JOBS': str(run.jobs)}):
        jobs = meson_tests('debian13', {'unit', 'fuzz'})
        for j in jobs:
            j.argv = [os.path.join(TOP, 'tools', 'debian13'), 'run', *j.argv]
        run.go(jobs)


def part_qif(run):
    if run.build('release'):
        run.go([Job('qif', ['tools/qif-check', '--plx-qif', f'{BUILDS["release"][0]}/tools/plx-qif', run.qif_folder], timeout=900)])


# --- the command -----------------------------------------------------------------------------------------

def parse(argv):
    run, args = Run(), list(argv)

    def value(option):
        if not args:
            sys.exit(f'tools/test: {option} wants a value')
        return args.pop(0)

    while args:
        a = args.pop(0)
        if a in ('-h', '--help'):
            print(__doc__.strip().replace('What tools/test runs', 'test', 1))
            sys.exit(0)
        elif a == '--fuzz-seconds':
            run.fuzz_seconds = int(value(a))
        elif a == '--seeds':
            run.seeds = int(value(a))
            if run.seeds < 1:
                sys.exit('tools/test: --seeds wants a number from 1 on')
        elif a == '--only':
            run.only = value(a)
        elif a == '--jobs':
            run.jobs = int(value(a))
        elif a == '--no-setup':
            run.setup = False
        elif a == '--list':
            run.list = True
        elif a == 'all':
            run.parts = []
        elif a == 'qif':
            run.parts.append(a)
            run.qif_folder = os.path.abspath(value('qif'))
        elif a in PARTS:
            run.parts.append(a)
        else:
            sys.exit(f'tools/test: no part or option is called {a}; tools/test --help')
    if not run.parts:
        run.qif_folder = os.path.join(SHARED, 'qifs')
        run.parts = [p for p in PARTS if p != 'qif' or os.path.isdir(run.qif_folder)]
    if run.seeds is not None and 'sim' not in run.parts:
        sys.exit('tools/test: --seeds is about the part sim')
    if 'qif' in run.parts and not os.path.isdir(run.qif_folder):
        sys.exit(f'tools/test: {run.qif_folder} is no folder')
    return run


def main():
    run = parse(sys.argv[1:])
    os.makedirs(run.results.log_folder, exist_ok=True)
    if run.setup and not run.list:
        run.results.say('setup')
        if not run_one('setup', ['tools/setup', 'build', 'test'], run.results, 'setup'):
            run.results.summary()
            return 1
    try:
        for i, part in enumerate(run.parts):
            if 'sim' in run.parts[i + 1:] and part not in WITHOUT_SPARE and not run.is_begun and not run.list:
                timed(run, 'sim', begin_sim)
            run.results.say(part)
            timed(run, part, globals()['part_' + part])
    finally:
        if run.spare:
            run.spare.end()
    return 0 if run.list or run.results.summary() else 1


def timed(run, part, what):
    run.part, begun = part, time.monotonic()
    try:
        what(run)
    except (subprocess.CalledProcessError, OSError, ValueError) as e:
        run.results.add(part, 'runner', False, None, f'{type(e).__name__}: {e}')
    run.results.of(part)[2] += time.monotonic() - begun


def interrupt(number, frame):
    """Once: what runs is being ended then, and that takes a moment."""
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(n, signal.SIG_IGN)
    raise KeyboardInterrupt


def command():
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(n) is not signal.SIG_IGN:  # nohup's wish
            signal.signal(n, interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')


if __name__ == '__main__':
    command()
