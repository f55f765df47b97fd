"""twins.py -- where the host had put the server's and the generator's processor while a run was measured, and what is done about it.

    with watch:                      # bench/twins beside the run, ten samples a second
        …
    place = told(watch.samples)      # {'samples': 31, 'shares': {'one cache': 0.97, 'two caches': 0.03}, 'was': 'one cache'}

A sample is in one of four places:

    one core        both processors are threads of one core: each does half of its work
    beside others   a core of its own for each, but somebody else's thread on one of them
    one cache       cores of their own, and what one writes the other has soon: they share a cache
    two caches      cores of their own, far apart: what is handed over takes four times as long

A run was in a place if MOST of its samples were; else it was 'mixed'. The machine that it stands for has cores of its own that share a cache,
so a run that was anywhere else is repeated, as long as there is credit: each run that is asked for gives one. What was set aside is kept, with
its reason. A figure is never looked at to decide.
"""
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time

import servers

ONE_CORE, BESIDE, ONE_CACHE, TWO_CACHES, MIXED = 'one core', 'beside others', 'one cache', 'two caches', 'mixed'
WORDS = {ONE_CORE: 'were two threads of one core', BESIDE: 'had somebody else beside them on a core', ONE_CACHE: 'were neighbours in one cache',
         TWO_CACHES: 'were in two caches', MIXED: 'were moved about'}
MOST = 0.8           # of a run's samples make a place of it
LEAST = 3            # samples below which nothing is said
FAR_NS = 200         # a round trip: 80 to 140 ns through one third-level cache, 300 to 600 through two; nothing in between was seen
HALF, WHOLE = 0.65, 0.85  # of what a processor does alone: 0.5 is seen where two threads share a core
EVERY_MS = 100


def place(sample):
    """Of one sample; None where it was disturbed."""
    if not sample['is_undisturbed']:
        return None
    trip, (least, most) = sample['round_trip_ns'], sorted(sample['work'])
    if most < HALF and trip < FAR_NS:
        return ONE_CORE
    if least < WHOLE:
        return BESIDE
    return ONE_CACHE if trip < FAR_NS else TWO_CACHES


def told(samples):
    """What a run's samples say of it; None where they are too few."""
    places = [p for p in map(place, samples) if p]
    if len(places) < LEAST:
        return None
    shares = {p: round(places.count(p) / len(places), 3) for p in WORDS if p in places}
    was = max(shares, key=shares.get)
    return {'samples': len(places), 'disturbed': len(samples) - len(places), 'shares': shares, 'was': was if shares[was] >= MOST else MIXED,
            'round_trip_ns': statistics.median(s['round_trip_ns'] for s in samples if place(s))}


class Watch:
    """bench/twins, from its start to its end; `samples` are those that began while one of its `span`s was open."""

    def __init__(self, cpus=(0, 1), every_ms=EVERY_MS):
        self.program, self.samples, self.spans = os.path.join(servers.BUILD, 'bench', 'twins'), [], []
        self.argv = ['--cpus', ','.join(map(str, cpus)), '--samples', '0', '--every', str(every_ms), '--json']

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(prefix='plx-twins-', suffix='.json')
        try:
            self.popen = subprocess.Popen([self.program, *self.argv, self.file.name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.popen.stdout.readline()  # 'ready': it has measured each processor alone
        except OSError:
            self.popen = None  # a build without it: the runs are measured all the same, and nothing is said about places
        return self

    def span(self, last=None):
        """What is measured, as a context manager; last: only so many seconds of it, as before that there is a warm-up."""
        return Span(self.spans, last)

    def __exit__(self, *exc):
        try:
            if self.popen:
                self.popen.send_signal(signal.SIGTERM)
                self.popen.communicate(timeout=60)
                with open(self.file.name) as f:
                    self.samples = within(json.load(f)['samples'], self.spans)
        except (ValueError, subprocess.TimeoutExpired):
            self.popen.kill()
            self.popen.wait()
        finally:
            self.file.close()


class Span:
    """A time that is measured."""

    def __init__(self, spans, last=None):
        self.spans, self.last = spans, last

    def __enter__(self):
        self.begin = time.monotonic_ns()

    def __exit__(self, *exc):
        end = time.monotonic_ns()
        self.spans.append((self.begin if self.last is None else max(self.begin, end - int(self.last * 1e9)), end))


def within(samples, spans):
    return [s for s in samples if any(begin <= s['at_ns'] < end for begin, end in spans)]


class Credit:
    """How often a run may be repeated: as often as its cell was asked for."""

    def __init__(self, is_fair):
        """is_fair: whether runs are repeated at all."""
        self.is_fair, self.left = is_fair, {}

    def fair(self, name, once):
        """A run by once(), a figure with 'processors' or 'error', and more of them while it was elsewhere and there is credit. The one that was
        longest in one cache is returned, or one that broke; the others are in its 'set_aside', each with 'why'."""
        self.left[name] = self.left.get(name, 0) + 1
        tried = [once()]
        while self.is_fair and is_elsewhere(tried[-1]) and self.left[name] > 0:
            self.left[name] -= 1
            tried.append(once())
        return chosen(tried)

    def make_up(self, name, figures, once):
        """At the end, with the credit that is left: again for each of a cell's runs that was elsewhere, as the host has had time to move. In place."""
        for i in range(len(figures)):
            while self.is_fair and is_elsewhere(figures[i]) and self.left.get(name, 0) > 0:
                self.left[name] -= 1
                last = {k: v for k, v in figures[i].items() if k != 'set_aside'}
                figures[i] = chosen([*({k: v for k, v in f.items() if k != 'why'} for f in figures[i].get('set_aside', ())), last, once()])


def chosen(tried):
    """Of a run and its repetitions the one that is taken, with the others in its 'set_aside'."""
    best = next((t for t in tried if 'error' in t), max(tried, key=near))
    aside = [{**t, 'why': f'the processors {WORDS[t["processors"]["was"]]}'} for t in tried if t is not best]
    return {**best, 'set_aside': aside} if aside else best


def is_elsewhere(figure):
    return bool(figure.get('processors')) and figure['processors']['was'] != ONE_CACHE


def near(figure):
    """The share of a run in which all was well; of one that nobody watched, all of it."""
    return figure['processors']['shares'].get(ONE_CACHE, 0) if figure.get('processors') else 1


def by_place(runs, keys):
    """{place: {'runs': how many, key: median …}} of runs and of those set aside."""
    out, every = {}, [r for run in runs if 'error' not in run for r in (run, *run.get('set_aside', ()))]
    for was in WORDS:
        found = [r for r in every if r.get('processors') and r['processors']['was'] == was]
        if found:
            values = {k: [r[k] for r in found if r.get(k) is not None] for k in keys}
            out[was] = {'runs': len(found), **{k: statistics.median(v) if v else None for k, v in values.items()}}
    return out


def count(runs):
    """(runs whose processors were watched, {place other than one cache: runs}, how many were set aside)"""
    watched = [r['processors']['was'] for r in runs if r.get('processors')]
    return len(watched), {p: watched.count(p) for p in WORDS if p != ONE_CACHE and p in watched}, sum(len(r.get('set_aside', ())) for r in runs)


def sentence(name, runs):
    """What a reader must know of a cell's runs; '' where all of them were in one cache at once."""
    watched, elsewhere, aside = count(runs)
    parts = [f'in {n} of {watched} runs the processors {WORDS[p]}' for p, n in elsewhere.items()]
    parts += [f'{aside} more {"was" if aside == 1 else "were"} set aside for that'] if aside else []
    return f'{name}: {"; ".join(parts)}' if parts else ''


def remarks(cells):
    """Markdown about a report's cells; '' where nothing is to be said, or nobody watched."""
    watched, aside = (sum(count(c['runs'])[i] for c in cells.values()) for i in (0, 2))
    if not watched:
        return ''
    bad = sum(n for c in cells.values() for n in count(c['runs'])[1].values())
    kept = f'; {aside} more {"was" if aside == 1 else "were"} set aside because it had not' if aside else ''
    lines = [f'The host had the two processors as neighbours in one cache in {watched - bad} of {watched} runs{kept} ([why it matters](measurement.md#two-processors)).']
    lines += [f'- {s}{speeds(cells[name])}.' for name in cells if (s := sentence(name, cells[name]['runs']))]
    return '\n'.join([lines[0], '', *lines[1:]]) if len(lines) > 1 else lines[0]


def speeds(cell):
    """Of a cell that was in several places: its cost in each."""
    known = {p: v for p, v in cell.get('by_place', {}).items() if v.get('server_cpu_us_per_request')}
    if len(known) < 2:
        return ''
    return ' (' + ', '.join(f'{p}: {v["server_cpu_us_per_request"]:,.2f} µs, {v["runs"]} {"run" if v["runs"] == 1 else "runs"}' for p, v in known.items()) + ')'
