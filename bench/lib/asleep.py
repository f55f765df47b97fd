"""bench/macro idle: a million connections that nobody uses, both ends in one process (bench/idle), as a table."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def options(argv):
    p = argparse.ArgumentParser(prog='bench/macro idle', description='Octets for each idle connection, hibernated, and what waking one costs.')
    p.add_argument('--conns', type=int, default=1000000, metavar='N', help='connections to establish (default 1000000)')
    p.add_argument('--hold', type=int, default=600, metavar='S', help='seconds to hold them (default 600)')
    p.add_argument('--wake', type=int, default=10000, metavar='N', help='connections to wake with a request each (default 10000)')
    p.add_argument('--after', type=int, default=2000, metavar='MS', help='quiet time before a connection hibernates, 0: never (default 2000)')
    p.add_argument('--awake', type=int, default=65536, metavar='N', help='objects for so many connections that are awake, on each side (default 65536)')
    p.add_argument('--full', action='store_true', help='full handshakes only (else all but the first resume)')
    p.add_argument('--build', default=os.path.join(ROOT, 'build'), metavar='DIR', help='where it was built (default build/)')
    p.add_argument('--json', metavar='FILE', help='the figures, for programs')
    return p.parse_args(argv)


def markdown(r):
    us = [f'{r[k][0] / 1000:.1f} / {r[k][1] / 1000:.1f}' for k in ('call_ns', 'asleep_ns', 'awake_ns')]
    rows = [('connections, hibernated at the server', f'{r["conns"]:,}, {r["hibernated_server"]:,}'),
            ('opened within', f'{r["opening_s"]:,.0f} s'), ('held for', f'{r["held_s"]:,} s'),
            ('server, octets per connection that became resident', f'{r["server_bytes"]:,.0f}'),
            ('of them the record', f'{r["record_bytes"]:,.0f}'),
            ('server, octets per connection before the first (tables, rings)', f'{r["tables_bytes"]:,.0f}'),
            ('client, octets per connection that became resident', f'{r["client_bytes"]:,.0f}'),
            ('process, RSS per connection (both sides, heap)', f'{r["rss_bytes"]:,.0f}'),
            ('woken (awake already)', f'{r["woken"]:,} ({r["were_awake"]:,})'),
            ('waking by the client\'s program, us, median / p99', us[0]),
            ('server, a request to a connection that sleeps, us', us[1]),
            ('server, the next request, us', us[2])]
    return '\n'.join(['| | |', '|---|---|'] + [f'| {a} | {b} |' for a, b in rows])


def main(argv, show=True):
    o = options(argv)
    program = os.path.join(o.build, 'bench', 'idle')
    if not os.path.exists(program):
        sys.exit(f'bench/macro idle: no {program}: ninja -C {o.build} bench/idle')
    with tempfile.NamedTemporaryFile(suffix='.json') as f:
        args = [f'--{k}={getattr(o, k)}' for k in ('conns', 'hold', 'wake', 'after', 'awake')]
        done = subprocess.run([program, *args, *(['--full'] if o.full else []), '--json', f.name], stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            return 1
        figures = json.load(open(f.name))
    if o.json:
        with open(o.json, 'w') as f:
            json.dump(figures, f, indent=1)
    if show:
        print(markdown(figures))
    return 0
