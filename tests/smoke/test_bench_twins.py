#!/usr/bin/env python3
"""Where a hypervisor has put two processors: what bench/lib/twins.py makes of samples, which runs are repeated and which are kept, what a report says of
it, and which rounds of two workers count. The samples that are judged are made up; of bench/twins itself only that it takes some, and refuses nonsense."""
# timeout: 120
import json
import os
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench  # noqa: E402
import goals  # noqa: E402
import runs  # noqa: E402
import servers  # noqa: E402
import twins  # noqa: E402

bench = Bench('macro', 100)
check = bench.check
ONE_CORE, BESIDE, NEAR, FAR = twins.ONE_CORE, twins.BESIDE, twins.ONE_CACHE, twins.TWO_CACHES


def sample(work=(1.0, 1.0), trip=95.0, ok=True, at=0):
    return {'at_ns': at, 'work': list(work), 'round_trip_ns': trip, 'is_undisturbed': ok}


OF = {ONE_CORE: sample((0.49, 0.5), 66), BESIDE: sample((0.62, 1.0)), NEAR: sample(), FAR: sample(trip=410.0)}


def figure(us, *places):
    return {'requests_per_second': 1e6 / us, 'server_cpu_us_per_request': us, 'processors': twins.told([OF[p] for p in places])}


def places():
    for want, s in ((ONE_CORE, sample((0.5, 0.5), 66)), (ONE_CORE, sample((0.45, 0.6), 75)), (NEAR, sample((0.97, 1.03), 80)), (NEAR, sample(trip=140)),
                    (FAR, sample(trip=300)), (FAR, sample((0.9, 0.9), 590)), (BESIDE, sample((0.55, 1.0))), (BESIDE, sample((1.0, 0.7), 410)),
                    (BESIDE, sample((0.5, 0.5), 410)), (None, sample((0.5, 0.5), 66, ok=False)), (None, sample(trip=0, ok=False))):
        check(f'place {want} of {s["work"]} {s["round_trip_ns"]}', twins.place(s) == want, twins.place(s))


def a_run():
    check('too few samples', twins.told([OF[NEAR]] * 2) is None and twins.told([sample(ok=False)] * 50 + [OF[NEAR]] * 2) is None and twins.told([]) is None)
    told = twins.told([OF[NEAR]] * 8 + [OF[FAR]] * 2 + [sample(ok=False)])
    check('most of a run', told['was'] == NEAR and told['shares'] == {NEAR: 0.8, FAR: 0.2} and (told['samples'], told['disturbed']) == (10, 1), told)
    told = twins.told([OF[NEAR]] * 7 + [OF[FAR]] * 3)
    check('moved about', told['was'] == twins.MIXED and told['round_trip_ns'] == 95, told)
    every = [sample(at=i) for i in range(10)]
    check('within', [s['at_ns'] for s in twins.within(every, [(2, 4), (8, 20)])] == [2, 3, 8, 9])


class Script:
    """Runs that were written down before."""

    def __init__(self, *figures):
        self.left = list(figures)

    def __call__(self):
        return self.left.pop(0)


def credit():
    near, far, core, mixed = figure(4, *[NEAR] * 5), figure(6, *[FAR] * 5), figure(8, *[ONE_CORE] * 5), figure(5, NEAR, NEAR, NEAR, FAR, FAR)
    broken, unwatched = {'error': 'did not start'}, {**figure(4), 'processors': None}
    for name, script, want, aside in (('well at once', (near,), near, []), ('again', (far, near), near, [far]), ('twice is too often', (far, core), far, [core]),
                                      ('the longest in one cache', (core, mixed), mixed, [core]), ('and then it broke', (far, broken), broken, [far]),
                                      ('broken', (broken,), broken, []), ('nobody watched', (unwatched,), unwatched, [])):
        once = Script(*script)
        got = twins.Credit(True).fair('cell', once)
        kept = got.pop('set_aside', []) if got is not want else []
        check(f'a run: {name}', got == want and [{k: v for k, v in a.items() if k != 'why'} for a in kept] == aside and not once.left, (got, kept))
    got = twins.Credit(True).fair('cell', Script(core, near))
    check('why', got['set_aside'][0]['why'] == 'the processors were two threads of one core', got)
    check('as they come', 'set_aside' not in twins.Credit(False).fair('cell', Script(far)))
    c, once = twins.Credit(True), Script(near, near, far, core, far, near)
    done = [c.fair('cell', once) for _ in range(3)]  # credit of those that were well at once is left for the third
    check('credit adds up', not once.left and len(done[2]['set_aside']) == 3, done)
    check('and each cell has its own', len(c.fair('other', Script(far, dict(far)))['set_aside']) == 1)


def make_up():
    near, far, core, mixed = figure(4, *[NEAR] * 5), figure(6, *[FAR] * 5), figure(8, *[ONE_CORE] * 5), figure(5, NEAR, NEAR, NEAR, FAR, FAR)
    c = twins.Credit(True)
    done = [c.fair('cell', once) for once in (Script(far, core), Script(near), Script(near), Script(near))]  # three are left
    once = Script(mixed, near)
    c.make_up('cell', done, once)
    check('made up for', not once.left and c.left['cell'] == 1 and {k: v for k, v in done[0].items() if k != 'set_aside'} == near and
          sorted(a['server_cpu_us_per_request'] for a in done[0]['set_aside']) == [5, 6, 8] and all('why' in a and 'set_aside' not in a for a in done[0]['set_aside']), done[0])
    c.make_up('cell', done, Script())
    check('what is well is left alone', done[1:] == [near] * 3 and c.left['cell'] == 1, done)
    done = [dict(far), {'error': 'lost'}]
    c.make_up('cell', done, Script(broken := {'error': 'did not start'}))
    check('a repetition that broke is seen', done[0]['error'] == broken['error'] and len(done[0]['set_aside']) == 1 and done[1] == {'error': 'lost'}, done)
    done = [dict(far)]
    c.make_up('cell', done, Script())
    check('no credit', done == [far] and c.left['cell'] == 0, done)
    twins.Credit(False).make_up('cell', done, Script())


def reports():
    near, far = figure(4, *[NEAR] * 5), figure(6, *[FAR] * 5)
    cells = runs.summary({'a': [near, far, {**near, 'set_aside': [{**far, 'why': 'far'}]}], 'b': [near, near], 'c': [{'error': 'lost'}, {**near, 'processors': None}]})
    by = cells['a']['by_place']
    check('by place', by[NEAR]['runs'] == 2 and by[FAR] == {'runs': 2, 'requests_per_second': 1e6 / 6, 'server_cpu_us_per_request': 6, 'server_cpu_s_per_gb': None}, by)
    check('what was set aside does not count', cells['a']['median']['server_cpu_us_per_request'] == 4, cells['a']['median'])
    text = twins.remarks(cells)
    check('remarks', 'in 4 of 5 runs; 1 more was set aside because' in text and 'a: in 1 of 3 runs the processors were in two caches; 1 more was set aside for that '
          '(one cache: 4.00 µs, 2 runs, two caches: 6.00 µs, 2 runs).' in text and '- b' not in text and '- c' not in text, text)
    check('nothing to say', twins.remarks({'c': cells['c']}) == '' and twins.remarks({}) == '')


def two_workers():
    s, at = [], 0

    def one_round(way, place, rate, had=1.0):
        nonlocal at
        s.extend({**OF[place], 'at_ns': at + i} for i in range(5))
        at += 10
        return {'way': way, 'begin_ns': at - 10, 'end_ns': at - 5, 'rate': rate, 'had': had}
    rounds = [one_round('one', NEAR, 100), one_round('several', ONE_CORE, 120), one_round('wrong', NEAR, 150), one_round('one', ONE_CORE, 101),
              one_round('several', FAR, 196), one_round('one', BESIDE, 60), one_round('several', NEAR, 230, had=0.8), one_round('several', NEAR, 198)]
    got = goals.ratios(rounds, s)
    check('rounds with a core for each', got['apart_rounds'] == 2 and abs(got['apart_median'] - 197 / 100.5) < 1e-9 and abs(got['apart_fastest'] - 198 / 101) < 1e-9, got)
    check('all rounds', abs(got['fastest'] - 230 / 101) < 1e-9 and len(got['rounds']) == 7, got)
    check('nobody watched', goals.ratios(rounds, [])['apart_median'] is None)


def program():
    path = os.path.join(servers.BUILD, 'bench', 'twins')
    with tempfile.TemporaryDirectory(prefix='plx-twins-test-') as folder:
        out = os.path.join(folder, 'out.json')
        done = subprocess.run([path, '--samples', '5', '--every', '5', '--json', out], capture_output=True, text=True, timeout=60)
        check('exit status', done.returncode == 0 and done.stdout == 'ready\n', done)
        with open(out) as f:
            told = json.load(f)
        check('samples', len(told['samples']) == 5 and all(len(s['work']) == 2 for s in told['samples']) and min(told['alone_per_us']) > 0, told)
        gaps = [b['at_ns'] - a['at_ns'] for a, b in zip(told['samples'], told['samples'][1:])]
        check('each at its time', gaps == [5000000] * 4, gaps)
        done = subprocess.run([path, '--samples', '2'], capture_output=True, text=True, timeout=60)
        check('for people', done.returncode == 0 and 'round trip' in done.stdout and len(done.stdout.splitlines()) == 5, done)
        for argv in (('--cpus', '0'), ('--cpus', '1,1'), ('--cpus', '0,x'), ('--every', '1'), ('--samples', '-1'), ('more',)):
            done = subprocess.run([path, *argv], capture_output=True, text=True, timeout=60)
            check(f'refuses {" ".join(argv)}', done.returncode == 2 and done.stderr, done)
        done = subprocess.run([path, '--cpus', '0,1023'], capture_output=True, text=True, timeout=60)
        check('a processor that is not there', done.returncode == 1 and '1023' in done.stderr, done)
        done = subprocess.run([path, '--json', f'{folder}/none/out.json'], capture_output=True, text=True, timeout=60)
        check('a file that cannot be', done.returncode == 1 and 'none/out.json' in done.stderr, done)
    with twins.Watch(every_ms=5) as watch, watch.span():
        time.sleep(1)
    check('watched', watch.popen.returncode == 0 and len(watch.samples) > 3, (watch.popen.returncode, len(watch.samples)))
    with twins.Watch() as watch:
        pass
    check('outside of a span', watch.samples == [], watch.samples)
    lost = twins.Watch()
    lost.program = '/nowhere/twins'
    with lost, lost.span():
        pass
    check('a build without it', lost.samples == [] and twins.told(lost.samples) is None)


places()
a_run()
credit()
make_up()
reports()
two_workers()
program()
sys.exit(bench.end())
