"""cost -- what QUIC costs against TCP and TLS on this machine, in one command: cost.json and cost.html, a page that needs nothing else.

Installs and builds what is missing, the other servers included (a root of their own), measures the cells that matter (about a quarter of
an hour), and says how long the rest will take. bench/macro measures single cells. With --port the server runs on a network card, past
the kernel, and the generator on a second machine: docs/operating/cost-with-a-nic.md.
"""
import argparse
import contextlib
import json
import os
import signal
import sys
import time

import cells as names
import client
import costs
import machine
import page
import ready
import runs
import servers
import table
import wire

TOO_FAR = 10  # per cent by which figures of one thing, counted by three, may differ


def options():
    p = argparse.ArgumentParser(prog='bench/cost', description=__doc__.partition('\n\n')[2])
    p.add_argument('--runs', type=int, default=3, metavar='N', help='runs of each cell, in turn (default 3)')
    p.add_argument('--seconds', type=float, default=3, metavar='S', help='measured time of a run (default 3)')
    p.add_argument('--section', action='append', choices=costs.KEYS, help='only this part; again for more')
    p.add_argument('--out', default='.', metavar='FOLDER', help='where cost.json and cost.html go (default: here)')
    ready.option_nice(p)
    ready.option_fair(p)
    p.add_argument('--redraw', metavar='FILE', help='measure nothing: make the page again from a cost.json')
    g = p.add_argument_group('with a network card')
    g.add_argument('--port', metavar='PCI-ADDRESS', help='the card\'s port that the server takes, for example 0000:3b:00.0 (or a DPDK device, net_memif0,…)')
    g.add_argument('--address', metavar='ADDRESS/PREFIX', help='the server\'s address on it')
    g.add_argument('--client', metavar='HOST', help='the second machine: ssh HOST, as root, without a password; the same checkout is built there')
    g.add_argument('--client-command', metavar='PREFIX', help='instead of ssh: a command that runs what follows it over there (docker exec -i NAME)')
    g.add_argument('--client-folder', metavar='PATH', default=servers.TOP, help='where the checkout is over there (default: where it is here)')
    g.add_argument('--client-port', metavar='PCI-ADDRESS', help='the generator past the kernel as well: its port (default: its kernel\'s sockets)')
    g.add_argument('--client-address', metavar='ADDRESS/PREFIX', help='its address on that port')
    g.add_argument('--client-cpus', metavar='LIST', default='1', help='its processors, a core of load each: 1,2 or 4-7 (default 1)')
    g.add_argument('--kernel-address', metavar='ADDRESS', help='an address that the kernel of this machine has and the client reaches: there the other '
                   'servers answer, the baseline among them')
    o = p.parse_args()
    if o.runs < 1 or not 0.5 <= o.seconds <= 3600 or not os.path.isdir(o.out):
        p.error('--runs wants 1 or more, --seconds 0.5 to 3600, --out an existing folder')
    if o.port and not (o.client and o.address):
        p.error('--port needs --client HOST and --address ADDRESS/PREFIX')
    if not o.port and any((o.address, o.client, o.client_command, o.client_port, o.client_address, o.kernel_address)):
        p.error('--client and its like need --port PCI-ADDRESS')
    try:
        client.cpu_list(o.client_cpus)
    except ValueError:
        p.error(f'--client-cpus {o.client_cpus}: expected numbers and ranges, for example 1,2 or 4-7')
    return p, o


def here(stack, o, say):
    """One bench for each network of this machine."""
    return {net: stack.enter_context(runs.Bench(net, o.seconds, say=say, nice=o.nice, is_fair=not o.as_they_come)) for net in ('lo', 'veth')}


def over_there(stack, p, o, say):
    """One bench, whose generator is on the other machine."""
    there = client.There(o.client, o.client_command, o.client_folder, o.client_cpus)
    try:
        nic = wire.Nic(o.port, o.address, o.client_port, o.client_address, there, o.nice)
        kernel = wire.Kernel(o.kernel_address, there, o.nice) if o.kernel_address else None
        wire.check(o, there)
        stack.enter_context(there)
    except (wire.WireError, client.LoadError) as e:
        p.exit(1, f'bench/cost: {e}\n')
    return {'wire': stack.enter_context(runs.Bench('wire', o.seconds, say=say, nice=o.nice, is_fair=not o.as_they_come, given={'nic': nic, 'wire': kernel}))}


def measured(p, o):
    plan = costs.plan(o.section, bool(o.port), not o.port or bool(o.kernel_address))
    cells = [names.parse(n) for s in plan['sections'] for n in s['cells']]
    ready.check(p, cells, needs_client=not o.port, with_peers=not o.port)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, frame: sys.exit(128 + n))

    def say(text):
        print(text, file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        benches = over_there(stack, p, o, say) if o.port else here(stack, o, say)
        ready.peers(p, cells if o.port else [])  # what is wrong with a card or an address is said before anybody waits for them
        first = next(iter(benches.values()))
        progress, load = costs.Progress(costs.steps(plan, o.runs), time.monotonic, say), os.getloadavg()[0]
        sections = costs.measure(plan, benches, o.runs, progress)
        report = {'machine': {**machine.describe(), 'versions': table.versions(cells), 'load_before': load}, 'runs': o.runs, 'seconds': o.seconds,
                  'plan': plan, 'sections': sections, 'curves': costs.curves(plan, first, sections, progress),
                  'profiles': costs.profiles(plan, first, progress), 'phases': costs.phases(progress)}
    report['agreement'] = costs.agreement(plan, sections)
    if o.port:
        report['wire'] = {'port': o.port, 'client': o.client, 'client_port': o.client_port, 'client_cpus': o.client_cpus}
    for row in report['agreement']:
        if row['difference_percent'] > TOO_FAR:
            say(f'WARNING: {row["cell"]}: {row["cost"]:,.0f} requests per second; its generator printed {row["printed"]:,.0f}, nginx counted '
                f'{row["counted"]:,.0f}: {row["difference_percent"]:.0f} % apart')
    return report


def main():
    p, o = options()
    if o.redraw:
        with open(o.redraw) as f:
            report = json.load(f)
    else:
        report = measured(p, o)
        with open(os.path.join(o.out, 'cost.json'), 'w') as f:
            json.dump(report, f, indent=1)
    with open(os.path.join(o.out, 'cost.html'), 'w') as f:
        f.write(page.page(report, TOO_FAR))
    print(f'{os.path.join(o.out, "cost.html")} is written: open it in a browser')
    return 1 if any(c['errors'] for s in report['sections'].values() for c in s.values()) else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
