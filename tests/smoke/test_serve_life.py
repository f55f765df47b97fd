#!/usr/bin/env python3
"""plx-serve and plx-get from start to end: options, configuration, access log, signals, files that change under a download, exit codes."""
# timeout: 300
import os
import re
import signal
import subprocess
import sys
import time

from bed import PATIENCE, Bed, self_signed, size_of, wait_for

PIECE = bytes(i * 31 % 253 for i in range(1 << 20))


def big(bed, name, mib):
    """A file that depends on its place, larger than what a worker reads ahead of its client."""
    path = bed.path('site', name)
    with open(path, 'wb') as f:
        for i in range(mib):
            f.write(i.to_bytes(8, 'big') + PIECE[8:])
    return path


def is_prefix(part, whole):
    size = size_of(part)
    with open(part, 'rb') as a, open(whole, 'rb') as b:
        for at in range(0, size, 1 << 20):
            piece = a.read(1 << 20)
            if piece != b.read(len(piece)):
                return False
    return True


# --- what is said about wrong options -----------------------------------------------------------------------

def options(bed):
    serve = bed.program('plx-serve')
    pair = ('--cert', bed.cert, '--key', bed.key)
    junk = bed.write('junk.pem', 'junk')
    rows = [((), 'needs a certificate'), (('--cert', bed.cert), 'needs its --key'), (('--key', bed.key), 'needs its --key'),
            ((*pair, '--listen', 'nowhere'), 'want ADDRESS:PORT'), ((*pair, '--listen', '127.0.0.1:70000'), 'want ADDRESS:PORT'),
            ((*pair, *('--listen', '127.0.0.1:1') * 17), 'at most 16'), ((*pair, '--workers', '0'), 'from 1 to 128'),
            ((*pair, '--workers', '129'), 'from 1 to 128'), ((*pair, '--workers', 'two'), 'want a number'), ((*pair, '--workers', '-1'), 'want a number'),
            ((*pair, '--tickets', '17'), 'from 0 to 16'), ((*pair, '--key-update', '0'), 'want a number'), ((*pair, '--conns', '0'), 'want a number'),
            ((*pair, '--handshakes', '99999999'), 'want a number'), ((*pair, '--streams', 'x'), 'want a number'),
            ((*pair, '--buffers', '3'), 'from 4'), ((*pair, '--cache', '1x'), 'want a number'), ((*pair, '--cache-file', '-1'), 'want a number'),
            ((*pair, '--cache-file', '262145'), 'raise --cache'), ((*pair, '--cache', '100', '--cache-file', '102401'), 'which has 102400 KiB'), ((*pair, '--idle-timeout', '99'), 'from 100'),
            ((*pair, '--grace', '1.5'), 'want a number'), ((*pair, '--retry', 'maybe'), 'not one of its values'),
            ((*pair, '--congestion', 'bbr9'), 'not one of its values'), ((*pair, '--driver', 'pigeon'), 'want udp, ethdev or memif'),
            ((*pair, '--ip', '10.0.0.1'), 'want ADDRESS/PREFIX'), ((*pair, '--gateway', 'x'), 'not a numeric address'),
            ((*pair, '--vlan', '4095'), 'from 1 to 4094'), ((*pair, '--mtu', '1279'), 'from 1280'), ((*pair, 'site'), 'what is "site"'),
            ((*pair, '--no-such'), 'unrecognized option'), ((*pair, '--root'), 'requires an argument'),
            ((*pair, '--config', '/nonexistent'), '/nonexistent')]
    for argv, text in rows:
        code, out, err = bed.run(serve, *argv)
        bed.check(f'option {" ".join(argv[-2:])[-40:]}', code == 2 and text in err and out == '', f'{code} {out} {err}')
    at = ('--listen', f'127.0.0.1:{bed.port()}')
    rows = [((*pair, '--root', '/nonexistent'), '/nonexistent'), ((*pair, '--root', bed.cert), '--root'), (('--cert', junk, '--key', bed.key), 'junk.pem'),
            (('--cert', bed.cert, '--key', '/nonexistent'), '/nonexistent'), (('--cert', bed.cert, '--key', junk), 'junk.pem'),
            ((*pair, '--ciphers', 'NONE'), 'NONE'), ((*pair, '--groups', 'none'), 'none'), ((*pair, '--crypto', 'rot13'), 'rot13'),
            ((*pair, '--access-log', '/nonexistent/log'), '/nonexistent/log'), ((*pair, '--keylog', '/nonexistent/log'), '/nonexistent/log'),
            ((*pair, '--listen', '192.0.2.1:1'), '192.0.2.1'), ((*pair, '--vlan', '5'), '--driver ethdev'),
            ((*pair, '--driver', 'ethdev'), '--ip'), ((*pair, '--driver', 'memif'), '--ip'), ((*pair, '--driver', 'memif', '--ip', '10.0.0.1/8', '--', '--no-pci'), 'without DPDK'),
            ((*pair, '--driver', 'memif', '--ip', '10.0.0.1/8', '--device', 'roll=client'), 'role=client|server'), ((*pair, '--driver', 'memif', '--ip', '10.0.0.1/8', '--workers', '2'), 'one worker'),
            ((*pair, '--device', 'pigeon', '--driver', 'udp'), '--device'),
            ((*pair, '--udp', 'fast'), 'nosteer'), ((*pair, '--udp', 'nosteer', '--driver', 'ethdev', '--ip', '10.0.0.1/8'), '--driver udp')]
    for argv, text in rows:
        code, out, err = bed.run(serve, *(() if '--listen' in argv else at), *argv)
        bed.check(f'start {" ".join(argv[-2:])[-40:]}', code == 1 and text in err and out == '', f'{code} {out} {err}')
    for program in ('plx-serve', 'plx-get'):
        code, out, err = bed.run(bed.program(program), '--help')
        bed.check(f'{program} --help', code == 0 and out.startswith(f'usage: {program}') and 'Examples:' in out and err == '', err)
        code, out, err = bed.run(bed.program(program), '--version')
        bed.check(f'{program} --version', code == 0 and re.fullmatch(program + r' \d+\.\d+\.\d+\n', out), out)


def configuration(bed):
    port = bed.port()
    good = bed.write('good.conf', f'''listen = ["127.0.0.1:{port}"];  # a list
root = "{bed.path('site')}";
index = "other.html";
workers = 1; hq = false; stats = true; conns = 64; streams = 512; handshakes = 64; buffers = 64;
access-log = "{bed.path('config.log')}";
certificates = ( {{ cert = "{bed.cert}"; key = "{bed.key}"; }} );
''')
    bed.write('site/other.html', 'from the configuration')
    server = bed.serve_plain('--config', good, port=port)
    r = bed.get(server, '/')
    bed.check('config is followed', r.status == 200 and r.body == b'from the configuration', r)
    bed.check('config: it ends', server.end() == 0 and 'requests 1,' in server.text(), server.text())
    bed.check('config: access log', ' GET / 200 ' in open(bed.path('config.log')).read(), '')
    other = bed.port()
    server = bed.serve_plain('--config', good, '--listen', f'127.0.0.1:{other}', '--index', 'index.html', port=other)
    r = bed.get(server, '/')
    bed.check('the command line wins', r.status == 200 and r.body == b'the index', r)
    server.end()
    rows = [('listen = ;', 'line 1'), ('root = "x";\nwrong = 1;', 'line 2'), ('workers = "many";', 'workers'), ('workers = 0;', 'workers'),
            ('certificates = ( { cert = "x"; } );', 'key'), ('root = { a = 1; };', 'root'), ('help = true;', 'help'), ('retry = "x";', 'retry')]
    for i, (text, what) in enumerate(rows):
        code, out, err = bed.run(bed.program('plx-serve'), '--config', bed.write('bad.conf', text))
        bed.check(f'config {i} {text.splitlines()[-1][:30]}', code == 2 and what in err, f'{code} {out} {err}')


# --- several workers ----------------------------------------------------------------------------------------

def workers(bed):
    for words, says in ((), 'by connection ID'), (('--udp', 'nosteer'), 'nosteer was asked for'):
        server = bed.serve('--root', bed.path('site'), '--workers', '2', '--stats', *words)
        bed.check(f'workers {words}: start says how packets find theirs', server.wait_text(r'^plx-serve: packets find their worker .*' + says),
                  server.text())
        replies = [bed.get(server, '/index.html') for _ in range(8)]
        bed.check(f'workers {words}: answers', all(r.status == 200 and r.body == b'the index' for r in replies), replies[-1])
        bed.check(f'workers {words}: it ends', server.end() == 0, server.text())
        handed = re.search(r'handed over between workers (\d+)', server.text())
        bed.check(f'workers {words}: handed over', handed and (words or handed.group(1) == '0'), server.text())
    server = bed.serve('--root', bed.path('site'), '--workers', '1')
    bed.check('one worker: nothing to find', 'packets find' not in server.text(), server.text())
    server.end()


# --- the access log -----------------------------------------------------------------------------------------

def access_log(bed):
    log = bed.path('access.log')
    server = bed.serve('--root', bed.path('site'), '--access-log', log)
    bed.get(server, '/index.html')
    bed.get(server, '/nowhere?a=b', '-I')
    bed.get(server, '/index.html', '-H', 'Range: bytes=1-3')
    bed.get(server, '/%20%22')
    bed.get(server, '/index.html', '-X', 'POST', '-d', 'x')
    server.end()
    lines = open(log).read().splitlines()
    form = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 127\.0\.0\.1:\d+ %s \d+\.\d+ms core=0'
    want = ['GET /index.html 200 9', r'HEAD /nowhere\?a=b 404 0', 'GET /index.html 206 3', 'GET /%20%22 404 9', 'POST /index.html 405 18']
    bed.check('access log has a line for each', len(lines) == len(want), lines)
    for line, w in zip(lines, want):
        bed.check(f'access log {w[:30]}', re.fullmatch(form % w, line), line)


# --- files that change under a download ---------------------------------------------------------------------

def paused(bed, server, path, out, *options):
    """A download that has begun and then stands still."""
    popen = bed.get_start(server, path, out, *options)
    began = wait_for(lambda: size_of(out) > 0 or popen.poll() is not None)
    popen.send_signal(signal.SIGSTOP)
    return popen, began and popen.poll() is None


def resume(popen):
    popen.send_signal(signal.SIGCONT)
    try:
        return popen.wait(PATIENCE), popen.stderr.read().decode(errors='replace')
    except subprocess.TimeoutExpired:
        popen.kill()
        return None, popen.stderr.read().decode(errors='replace')


def moving_files(bed):
    server = bed.serve('--root', bed.path('site'))
    path, out, whole = big(bed, 'cut.bin', 200), bed.path('cut.out'), bed.path('cut.whole')
    os.link(path, whole + '.link')
    subprocess.run(['cp', path, whole], check=True)
    popen, is_paused = paused(bed, server, '/cut.bin', out)
    os.truncate(path, 20 << 20)
    code, text = resume(popen)
    bed.check('a file cut short is an error', is_paused and code == 95, f'{is_paused} {code} {text}')
    bed.check('and no wrong octet', is_prefix(out, whole) and size_of(out) <= 200 << 20, size_of(out))
    r = bed.get(server, '/index.html')
    bed.check('the server goes on', r.status == 200, r)
    for name in (path, whole, whole + '.link', out):
        os.unlink(name)

    keeps = bed.serve('--root', bed.path('site'), '--cache-file', '262144')
    path = big(bed, 'kept.bin', 200)
    subprocess.run(['cp', path, whole], check=True)
    popen, is_paused = paused(bed, keeps, '/kept.bin', out)
    os.truncate(path, 20 << 20)
    code, text = resume(popen)
    bed.check('a file cut short that is kept whole is sent whole', is_paused and code == 0 and size_of(out) == 200 << 20 and is_prefix(out, whole), f'{is_paused} {code} {text}')
    bed.check('the server that keeps it ends', keeps.end() == 0, keeps.text())
    for name in (path, whole, out):
        os.unlink(name)

    path, out, whole = big(bed, 'swap.bin', 100), bed.path('swap.out'), bed.path('swap.whole')
    os.link(path, whole)
    popen, is_paused = paused(bed, server, '/swap.bin', out)
    bed.write('site/swap.new', b'new')
    os.rename(bed.path('site/swap.new'), path)
    code, text = resume(popen)
    bed.check('a file replaced: who reads it gets the old one', is_paused and code == 0 and size_of(out) == 100 << 20 and is_prefix(out, whole),
              f'{is_paused} {code} {text}')
    for name in (whole, out):
        os.unlink(name)
    bed.check('server ends', server.end() == 0, server.text())


def huge(bed):
    server = bed.serve('--root', bed.path('site'))
    path, size = bed.path('site/huge.bin'), (5 << 30) + 3
    with open(path, 'wb') as f:
        f.truncate(size)
        f.seek(size - 10)
        f.write(b'the end of')
        f.seek((1 << 32) - 2)
        f.write(b'wrap')
    r = bed.get(server, '/huge.bin', '-I')
    bed.check('huge: length', r.fields.get('content-length') == str(size), r)
    rows = [('bytes=-10', size - 10, b'the end of'), (f'bytes={(1 << 32) - 2}-{(1 << 32) + 1}', (1 << 32) - 2, b'wrap'),
            (f'bytes={size - 3}-', size - 3, b' of')]
    for spec, first, body in rows:
        r = bed.get(server, '/huge.bin', '-H', f'Range: {spec}')
        bed.check(f'huge: {spec}', r.status == 206 and r.body == body and
                  r.fields.get('content-range') == f'bytes {first}-{first + len(body) - 1}/{size}', r)
    r = bed.get(server, '/huge.bin', '-H', f'Range: bytes={size}-')
    bed.check('huge: beyond', r.status == 416 and r.fields.get('content-range') == f'bytes */{size}', r)
    bed.check('huge: not in memory', server.status_kb('VmRSS') < 1 << 20, server.status_kb('VmRSS'))
    os.unlink(path)
    server.end()


# --- signals ------------------------------------------------------------------------------------------------

def signals(bed):
    path = big(bed, 'long.bin', 150)
    for name, number in (('SIGTERM', signal.SIGTERM), ('SIGINT', signal.SIGINT)):
        server, out = bed.serve('--root', bed.path('site'), '--grace', '60000'), bed.path('long.out')
        popen, is_paused = paused(bed, server, '/long.bin', out)
        server.send(number)
        late = bed.get(server, '/index.html', '--connect-timeout', '5')
        bed.check(f'{name}: nobody new', late.code in (7, 28) and late.status == 0, late)
        bed.check(f'{name}: still there', server.popen.poll() is None, server.text())
        code, text = resume(popen)
        bed.check(f'{name}: the download is finished', is_paused and code == 0 and size_of(out) == 150 << 20 and is_prefix(out, path),
                  f'{is_paused} {code} {size_of(out)} {text}')
        try:
            status = server.popen.wait(50)  # and not only when the grace is over
        except subprocess.TimeoutExpired:
            status = None
        bed.check(f'{name}: then it ends', status == 0, f'{status} {server.text()}')
        os.unlink(out)
    for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)):
        name = f'{first.name} {second.name}'
        server, out = bed.serve('--root', bed.path('site'), '--grace', '3600000'), bed.path('long.out')
        popen, is_paused = paused(bed, server, '/long.bin', out)
        server.send(first)
        time.sleep(0.5)
        bed.check(f'{name}: the first lets it run', is_paused and server.popen.poll() is None, server.text())
        bed.check(f'{name}: the second ends it', server.end(second) == 0, server.text())
        code, text = resume(popen)
        bed.check(f'{name}: the client hears of it', code in (7, 28, 95), f'{code} {text}')
        os.unlink(out)
    server, out = bed.serve('--root', bed.path('site'), '--grace', '300'), bed.path('long.out')
    popen, is_paused = paused(bed, server, '/long.bin', out)
    bed.check('the grace is over: it ends all the same', is_paused and server.end() == 0, server.text())
    code, text = resume(popen)
    bed.check('the grace is over: the client hears of it', code == 95, f'{code} {text}')
    os.unlink(out)


def crash(bed):
    server = bed.serve('--root', bed.path('site'))
    server.send(signal.SIGSEGV)
    status = server.popen.wait(60)
    # A sanitizer has a handler of its own, and says more.
    said = 'AddressSanitizer' in server.text() or re.search(r'^plx-serve: segmentation fault in \S+ at 0x[0-9a-f]+, sent by another process$', server.text(), re.M)
    bed.check('a crash says where', bool(said) and status in (-signal.SIGSEGV, 1), f'{status} {server.text()}')


# --- plx-get's own -------------------------------------------------------------------------------------------

def exit_codes(bed):
    server = bed.serve('--root', bed.path('site'))
    url, get, trust = f'https://127.0.0.1:{server.port}', bed.program('plx-get'), ('--cacert', bed.cert)
    closed = f'https://127.0.0.1:{bed.port()}/'
    other, _ = self_signed(bed.folder, subject='x', stem='other-')
    rows = [((*trust, url + '/index.html'), 0, ''), (('-k', url + '/index.html'), 0, ''), ((*trust, url + '/nowhere'), 0, ''), ((), 2, 'no URL'),
            (('--no-such', url), 2, 'unrecognized'), (('-H', 'nocolon', url), 2, 'NAME:VALUE'), (('--parallel', '0', url), 2, 'number from 1'),
            (('--max-time', 'x', url), 2, 'want seconds'), (('http://127.0.0.1/',), 3, 'want https://'), (('https:///x',), 3, 'want https://'),
            (('https://127.0.0.1:99999/',), 3, 'want https://'), ((f'https://{"a" * 70}.invalid/',), 6, 'a' * 70),
            ((*trust, '--connect-timeout', '1', closed), 28, ''), ((*trust, '--fail', url + '/nowhere'), 22, '404'),
            ((*trust, '-o', '/nonexistent/x', url + '/'), 23, '/nonexistent/x'), (('-d', '@/nonexistent', url + '/'), 26, '/nonexistent'),
            ((url + '/index.html',), 60, 'certificate'), (('--cacert', other, url + '/'), 60, '--cacert'),
            (('--cacert', '/nonexistent', url + '/'), 26, '/nonexistent'),
            ((*trust, '--connect-to', f'127.0.0.1:{server.port}', 'https://example.invalid/'), 60, 'certificate')]
    for argv, code, text in rows:
        got, out, err = bed.run(get, *argv)
        bed.check(f'exit {code}: {" ".join(argv)[-50:]}', got == code and text in err, f'{got} {err}')
    names = ('index.html', 'other.html', 'index.html')
    outs = [bed.path(f'url-{i}') for i in range(3)]
    got, out, err = bed.run(get, *trust, '-s', *(a for o in outs for a in ('-o', o)), *(f'{url}/{n}' for n in names))
    bodies = [open(o).read() for o in outs]
    bed.check('three URLs', got == 0 and bodies == ['the index', 'from the configuration', 'the index'], f'{got} {bodies} {out} {err}')
    popen, is_paused = paused(bed, server, '/long.bin', bed.path('max.out'), '--max-time', '1')
    time.sleep(1.2)
    code, text = resume(popen)
    bed.check('exit 28: --max-time', is_paused and code == 28, f'{code} {text}')
    session = bed.path('session')
    bed.run(get, *trust, '-s', '--session', session, url + '/')
    got, out, err = bed.run(get, *trust, '-v', '--session', session, url + '/')
    bed.check('a session is resumed', got == 0 and 'resumed' in err, err)
    got, out, err = bed.run(get, *trust, '-v', '--session', session, '--early-data', url + '/')
    bed.check('no early data without being told', got == 0 and 'resumed' in err and 'early data' not in err, err)
    got, out, err = bed.run(get, *trust, '--early-data', url + '/')
    bed.check('exit 2: early data without a session', got == 2 and '--session' in err, f'{got} {err}')
    server.end()


def main(bed):
    bed.write('site/index.html', 'the index')
    options(bed)
    configuration(bed)
    access_log(bed)
    workers(bed)
    moving_files(bed)
    huge(bed)
    signals(bed)
    crash(bed)
    exit_codes(bed)


if __name__ == '__main__':
    with Bed() as the_bed:
        main(the_bed)
    sys.exit(the_bed.end())
