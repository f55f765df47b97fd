"""What tools/test runs: proves the whole of it. What CI runs is this and nothing else.

Usage: tools/test [OPTION...] [PART...]

  unit      unit tests and the kept fuzz corpora, in a release build and with ASan+UBSan
  sim       scenarios in virtual time through the real engine, in both builds
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
  --only GLOB        of the chosen parts, only programs whose name matches
  --jobs N           programs side by side (the number of processors)
  --no-setup         takes the machine as it is
  --list             says what would run

Programs are found, not listed here: meson says which tests there are, the folders say which scripts. A script is any
executable *.py or *.sh; a line "# timeout: SECONDS" among its first thirty changes how long it may take. Its environment names the
build in PLX_BUILD. Logs are kept in build/test-logs. The last line is "N passed, N failed"; nothing can be skipped:
what is missing is a failure that says what to do.
"""
import fnmatch
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from jobs import Job, Results, run_all, run_one

os.chdir(TOP)
SHARED = os.path.join(os.path.dirname(TOP), 'shared')
PARTS = ['tidy', 'unit', 'sim', 'clang', 'tsan', 'smoke', 'install', 'interop', 'debian13', 'qif', 'bench', 'fuzz']  # quick ones first

SANE = {'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=1:strict_string_checks=1', 'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
        'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}
# name -> (folder, compiler, meson options). debugoptimized keeps the sanitizers' traces readable.
BUILDS = {
    'release': ('build', 'gcc', ['-Dbuildtype=release', '-Db_sanitize=none', '-Ddebug-checks=false']),
    'asan': ('build-asan', 'gcc', ['-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false', '-Ddebug-checks=true']),
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
        self.setup, self.list = True, False
        self.results = Results(os.path.join(TOP, 'build', 'test-logs'))
        self.built = {}
        self.part = None

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
        run_all(chosen, self.results, self.part, width or self.jobs)

    def build(self, name, targets=lambda: []):
        """Builds once per run; False when it failed (and then it has been counted). targets() names what is wanted, when that is not everything."""
        if name not in self.built:
            folder, compiler, options = BUILDS[name]
            env = {'CC': ('ccache ' if shutil.which('ccache') else '') + compiler, 'CCACHE_SLOPPINESS': 'pch_defines,time_macros'}
            fresh = not os.path.exists(os.path.join(folder, 'build.ninja'))
            configure = ['meson', 'setup', *([] if fresh else ['--reconfigure']), folder, '-Dwerror=true', *options]
            self.built[name] = (run_one(f'configure {name}', configure, self.results, self.part, env=env) and
                                run_one(f'build {name}', ['ninja', '-C', folder, f'-j{self.jobs}', *targets()], self.results, self.part, env=env))
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


def fuzzers_of(build):
    return [t for t in known(build, 'targets') if t['type'] == 'executable' and t['name'].startswith('fuzz_')]


def meson_tests(build, suites):
    """The test programs of a build that belong to one of the suites, as jobs."""
    folder = BUILDS[build][0]
    tests = known(build, 'tests')
    jobs = []
    for t in tests:
        names = {s.split(':')[-1] for s in t['suite']}
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
        jobs.append(Job(f'{room}/{name} ({build})'.lstrip('/'), argv, t.get('workdir') or os.path.join(TOP, folder), {**SANE, **t['env']},
                        max(t['timeout'], {'unit': 120, 'fuzz': 120, 'smoke': 120, 'sim': 900}[kind]) * (slow if kind != 'sim' else 2)))
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
        argv = [os.path.join(TOP, path)]
        if build in ('asan', 'tsan'):
            argv = ['setarch', '-R'] + argv
        jobs.append(Job(name.rsplit('.', 1)[0], argv, TOP, {'PLX_BUILD': os.path.join(TOP, BUILDS[build][0]), 'PYTHONUNBUFFERED': '1', **SANE},
                        int(limit.group(1)) if limit else 600))
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


def part_sim(run):
    jobs = []
    for build in ('release', 'asan'):
        if run.build(build):
            jobs += meson_tests(build, {'sim'})
    for j in jobs: # 500 seeds of each scenario in the release build (fairness: 13), fewer where every one is checked ten times over
        j.env = {'PLX_SIM_SEEDS': '500' if 'release' in j.name else '25', **(j.env or {})}
    run.go(jobs)


def part_clang(run):
    if run.build('clang'):
        run.go(meson_tests('clang', {'unit', 'fuzz'}))


def part_tsan(run):
    suites = {'unit', 'threads'}  # scripts of tests/smoke named tsan_* would find their programs there, too
    if run.build('tsan', lambda: programs_of('tsan', suites)):
        run.go(meson_tests('tsan', suites))
        found = scripts('tests/smoke', 'tsan', is_for('tsan'))
        if found:
            run.go(found, 1)


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
    run.go(jobs, run.jobs + run.jobs // 2)  # three on two cores: a minute of the clock each, two thirds of it on a core


def part_smoke(run):
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
    peers = run.list or run_one('peers', ['tools/peers'], run.results, run.part)
    if peers and run.build('release'):
        run.go(scripts('tests/interop', 'release', lambda n: n.startswith('test_')), 1)


def part_debian13(run):
    if os.getuid() != 0:
        run.results.add('debian13', 'root', False, None, 'needs root: chroot and a mount namespace. Run: sudo -E tools/test debian13')
        return
    if not (run.list or run_one('debian13 root', ['tools/debian13', 'make'], run.results, run.part)):
        return
    if run_one('debian13 build', ['tools/debian13', 'build'], run.results, run.part, env={'PLX_JOBS': str(run.jobs)}):
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
    for part in run.parts:
        run.part = part
        run.results.say(part)
        begun = time.monotonic()
        try:
            globals()['part_' + part](run)
        except (subprocess.CalledProcessError, OSError, ValueError) as e:
            run.results.add(part, 'runner', False, None, f'{type(e).__name__}: {e}')
        run.results.parts.setdefault(part, [0, 0, 0.0])[2] += time.monotonic() - begun
    return 0 if run.list or run.results.summary() else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
