"""idle.py -- connections held: how many octets of memory the server has for each.

Every connection is opened, and then asked once in ten seconds, so that nobody closes it. What a connection takes is what the server's
processes have more than with one, of anonymous and shared memory (not of files: programs, libraries). The kernel's part is not in it: a socket for
each connection of TCP, none for one of QUIC. A server that takes its memory at the start shows what of it is touched.
"""
import re
import threading
import time

import generators
import machine


def memory(pid):
    """Octets of the process and everything that it started."""
    texts = (machine.read(f'/proc/{p}/smaps_rollup') for p in machine.family(pid))
    return 1024 * sum(int(kb) for text in texts for kb in re.findall(r'^Pss_(?:Anon|Shmem):\s+(\d+)', text, re.M))


def measure(site, cell, net, server, seconds):
    """What the generator brings, with held and bytes_each."""
    generators.at_rate(cell.alone(), site, net, server, max(1, seconds), 1)  # what the first connection of all takes is not a connection's
    before, opening, out = memory(server.pid), generators.warmup(cell), {}

    def load():
        try:
            # h2load opens its connections within its time, plx-load before it
            out['got'] = generators.at_rate(cell, site, net, server, seconds + (0 if cell.protocol == 'h3' else opening), cell.conns / 10)
        except generators.LoadError as e:
            out['error'] = e
    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(opening + 0.7 * seconds)
    during = memory(server.pid)
    thread.join()
    if 'error' in out:
        raise out['error']
    got = out['got']
    held = got.get('held', cell.conns)  # h2load says of each that failed
    return {**got, 'held': held, 'bytes_each': (during - before) / max(1, held)}
