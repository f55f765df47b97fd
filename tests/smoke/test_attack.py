#!/usr/bin/env python3
"""plx-serve under everything but requests: it lives, its memory stays, each drop has its reason, and it serves. (asan_attack.py is the same.)"""
# timeout: 600
import os
import re
import subprocess
import sys

from bed import BUILD, PATIENCE, Bed

IS_SANITIZED = os.path.basename(BUILD) != 'build'
# Freed memory is kept by AddressSanitizer on purpose; here memory is what is looked at.
SANE = {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', 'detect_leaks=1:abort_on_error=1') + ':quarantine_size_mb=1:thread_local_quarantine_size_kb=64'}
COUNT = 30000 if IS_SANITIZED else 150000
GROWTH_KB = 24 << 10  # between the end of the first round and that of the last
BODY = bytes(i * 11 % 241 for i in range(3 << 20))

# Reasons that each mode must have been dropped for at least once, all named in lib/engine/drops.def.
REASONS = {'random': ['too_short', 'fixed_bit', 'unknown_cid', 'unknown_version', 'cid_len'],
           'headers': ['too_short', 'unknown_cid', 'unknown_version', 'cid_len', 'small_initial'],
           'initials': ['small_initial', 'too_short', 'auth_failed', 'invalid'],
           'handshakes': ['handshakes_full'],
           'relay': ['auth_failed', 'duplicate_pn', 'unknown_cid', 'too_short'],
           'relay after Retry': ['bad_token', 'auth_failed']}


def attack(bed, server, mode, count, seed, *more):
    done = subprocess.run([os.path.join(BUILD, 'tests', 'smoke', 'attacker'), mode, str(server.port), str(count), '40', str(seed), *more],
                          capture_output=True, text=True, timeout=PATIENCE * 3)
    sent = re.search(r'(\d+) sent', done.stdout)
    return done.returncode == 0 and sent is not None and int(sent.group(1)) > 0, done.stdout + done.stderr


def relay(bed, server, count, seed):
    """A download whose every packet is sent again in many ways while it runs, and afterwards."""
    port, out = bed.port(), bed.path('relay.out')
    attacker = subprocess.Popen([os.path.join(BUILD, 'tests', 'smoke', 'attacker'), 'relay', str(server.port), str(count), '60', str(seed), str(port)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    bed.running.append(attacker)
    attacker.stdout.readline()  # it listens
    client = bed.get_start(server, '/body', out, '--connect-to', f'127.0.0.1:{port}')
    code = client.wait(PATIENCE * 2)
    with open(out, 'rb') as f:
        is_right = f.read() == BODY
    text = attacker.communicate(timeout=PATIENCE * 2)[0]
    return code == 0 and is_right and attacker.returncode == 0, f'{code} {is_right} {client.stderr.read().decode()} {text}'


def serves(bed, server, name):
    r = bed.get(server, '/body')
    bed.check(name, r.code == 0 and r.status == 200 and r.body == BODY, r)


def drops(text):
    return {name: int(count) for name, count in re.findall(r'^dropped (\w+) (\d+) \(.+\)$', text, re.M)}


def one_mode(bed, mode, rounds):
    options = ['--retry', 'always'] if mode == 'relay after Retry' else ['--retry', 'never'] if mode == 'handshakes' else []
    server = bed.serve('--root', bed.path('site'), '--stats', *options)
    sizes = []
    for i in range(rounds):
        if mode.startswith('relay'):
            ok, text = relay(bed, server, COUNT // 4, i + 1)
        else:
            ok, text = attack(bed, server, mode, COUNT // rounds, i + 1)
        bed.check(f'{mode}: round {i + 1}', ok and server.popen.poll() is None, f'{text} {server.text()[-3000:]}')
        sizes.append(server.status_kb('VmRSS'))
        if mode == 'handshakes':
            # Their slots are free again when the handshakes have timed out; until then all others are refused.
            continue
        serves(bed, server, f'{mode}: it serves after round {i + 1}')
    if mode == 'handshakes':
        for _ in range(30):
            r = bed.get(server, '/body')
            if r.code == 0:
                break
        bed.check('handshakes: it serves when they have timed out', r.code == 0 and r.body == BODY, r)
    bed.check(f'{mode}: memory stays', sizes[-1] - sizes[0] < GROWTH_KB, sizes)
    status = server.end()
    text = server.text()
    bed.check(f'{mode}: it ends well', status == 0 and 'Sanitizer' not in text and 'runtime error' not in text and 'check failed' not in text,
              f'{status} {text[-3000:]}')
    home = re.search(r'still open: 0 connections, 0 streams, (\d+) octets', text)
    bed.check(f'{mode}: nothing is still open', home is not None and int(home.group(1)) < 1 << 20, text[-1500:])
    got = drops(text)
    for reason in REASONS[mode]:
        bed.check(f'{mode}: drops counted as {reason}', got.get(reason, 0) > 0, got)
    received = int(re.search(r'datagrams (\d+) in', text).group(1))
    # All that came was dropped, but for what the downloads of each round needed; coalesced packets are counted one by one.
    if mode in ('random', 'headers'):
        served = rounds * 6000
        bed.check(f'{mode}: every drop is counted', sum(got.values()) >= received - served, f'{received} received, {got}')


def main(bed):
    os.environ.update(SANE)
    bed.write('site/body', BODY)
    for mode in REASONS:
        one_mode(bed, mode, 3)


if __name__ == '__main__':
    with Bed() as the_bed:
        main(the_bed)
    sys.exit(the_bed.end())
