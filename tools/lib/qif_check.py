#!/usr/bin/env python3
"""qif_check -- runs plx-qif over a collection of QPACK files: encoded/ must decode to what stands in qifs/, qifs/ must
survive being encoded and decoded again, errors/ must be refused.

Usage: qif_check.py BUILD-FOLDER COLLECTION        (a part of tools/test; reports in TAP lines)

A file of encoded/ is called NAME.out.TABLE.BLOCKED.ACK; qifs/NAME.qif holds its header lists. Lines that begin with "#" are
comments there.
"""
import glob
import os
import subprocess
import sys
import tempfile

build, folder = sys.argv[1:3]
qif = os.path.join(os.path.abspath(build), 'tools', 'plx-qif')
failed = 0


def check(name, is_ok, detail=''):
    global failed
    print(('ok ' if is_ok else 'not ok ') + name, flush=True)
    if not is_ok:
        failed += 1
        print('\n'.join('# ' + line for line in detail.splitlines()[:20]), flush=True)


def run(verb, table, blocked, path):
    try:
        return subprocess.run([qif, verb, '--table', str(table), '--blocked', str(blocked), path], capture_output=True, timeout=120)
    except OSError as e:
        sys.exit(f'not ok plx-qif\n# cannot run {qif}: {e}')


def lists(data):
    lines = [line for line in data.split(b'\n') if not line.startswith(b'#')]
    return b'\n'.join(lines).rstrip(b'\n') + b'\n'


def difference(want, got):
    a, b = want.split(b'\n'), got.split(b'\n')
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return f'line {i + 1}: wanted {x[:100]!r}, got {y[:100]!r}'
    return f'wanted {len(a)} lines, got {len(b)}'


encoded = sorted(glob.glob(os.path.join(folder, 'encoded', '**', '*.out.*'), recursive=True))
check('collection_is_there', len(encoded) > 0, f'{folder}/encoded holds no *.out.* files')
for path in encoded:
    name, table, blocked, _ = os.path.basename(path).replace('.out.', '.', 1).rsplit('.', 3)
    with open(os.path.join(folder, 'qifs', name + '.qif'), 'rb') as f:
        want = lists(f.read())
    done = run('decode', table, blocked, path)
    got = lists(done.stdout)
    check('decode ' + os.path.basename(path), done.returncode == 0 and got == want,
          f'exit status {done.returncode}; {difference(want, got)}\n{done.stderr.decode(errors="replace")}')

for path in sorted(glob.glob(os.path.join(folder, 'qifs', '*.qif'))):
    with open(path, 'rb') as f:
        want = lists(f.read())
    for table, blocked in ((0, 0), (4096, 100)):
        name = f'encode_and_back {os.path.basename(path)} {table} {blocked}'
        out = run('encode', table, blocked, path)
        with tempfile.NamedTemporaryFile() as f:
            f.write(out.stdout)
            f.flush()
            back = run('decode', table, blocked, f.name)
        got = lists(back.stdout)
        check(name, out.returncode == 0 and back.returncode == 0 and got == want,
              f'exit status {out.returncode}, {back.returncode}; {difference(want, got)}\n{(out.stderr + back.stderr).decode(errors="replace")}')

errors = sorted(glob.glob(os.path.join(folder, 'errors', '*')))
check('errors_are_there', len(errors) > 0)
for path in errors:
    for table, blocked in ((0, 0), (4096, 100)):
        done = run('decode', table, blocked, path)
        check(f'refused {os.path.basename(path)} {table} {blocked}', 0 < done.returncode < 126 and done.stderr.strip() != b'',
              f'exit status {done.returncode} (a refusal is 1 to 125, with a word on standard error)')
sys.exit(failed != 0)
