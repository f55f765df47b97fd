#!/usr/bin/env python3
"""apps/examples/queue: requests answered on a thread of the application, end to end over kernel sockets."""
# timeout: 300
import json
import os
import random
import signal
import sys

from bed import BUILD, PATIENCE, Bed, Server, size_of, wait_for

MIB = 1 << 20


def start(bed):
    port = bed.port()
    bed.count += 1
    argv = [os.path.join(BUILD, 'apps', 'examples', 'queue'), bed.cert, bed.key, f'127.0.0.1:{port}']
    server = Server(bed, f'queue-{bed.count}', argv, port)
    bed.running.append(server.popen)
    table = f' 0100007F:{port:04X} '

    def is_bound():
        with open('/proc/net/udp') as f:
            return table in f.read() or server.popen.poll() is not None
    if not wait_for(is_bound) or server.popen.poll() is not None:
        raise RuntimeError('the example did not start: ' + server.text())
    bed.check(f'example_{bed.count}_answers', bed.get(server, '/7').body == b'xxxxxxx')  # and so it hears signals by now
    return server


def sizes(bed, server):
    for size in (0, 1, 16383, 16384, 16385, 100000, 10 * MIB, 100 * MIB):
        out = bed.path(f'get-{size}')
        code, text, err = bed.run(*bed.get_argv(server, f'/{size}', '-o', out))
        right = code == 0 and size_of(out) == size
        with open(out, 'rb') as f:
            while right and (piece := f.read(MIB)):
                right = piece.count(b'x') == len(piece)
        os.unlink(out)
        bed.check(f'get_{size}', right, f'{code} {err}')


def echoes(bed, server):
    for size in (1, 16384, 100001, 20 * MIB):
        body = random.Random(size).randbytes(size)
        path = bed.write(f'body-{size}', body)
        reply = bed.get(server, '/', '-d', '@' + path)
        bed.check(f'echo_{size}', reply.code == 0 and reply.status == 200 and reply.body == body, reply)


def side_by_side(bed, server):
    argv = []
    for i in range(40):
        argv += ['-o', bed.path(f'side-{i}')]
    urls = [f'https://127.0.0.1:{server.port}/{i * 5000}' for i in range(40)]
    code, text, err = bed.run(bed.program('plx-get'), '-s', '--cacert', bed.cert, *argv, *urls)
    got = [size_of(bed.path(f'side-{i}')) for i in range(40)]
    bed.check('forty_side_by_side', code == 0 and got == [i * 5000 for i in range(40)], f'{code} {err} {got}')


def cancelled(bed, server):
    """Clients that vanish and clients that give up in the middle; the next one must find all blocks and places at home."""
    for i in range(6):
        out = bed.path(f'cancelled-{i}')
        popen = bed.get_start(server, f'/{2000 * MIB}', out)
        bed.check(f'cancelled_{i}_began', wait_for(lambda out=out: size_of(out) > 0))
        popen.send_signal(signal.SIGKILL if i % 2 else signal.SIGTERM)
        popen.wait(PATIENCE)
        os.unlink(out)
    code, text, err = bed.run(bed.program('plx-get'), '-s', '--cacert', bed.cert, '--max-time', '1', '-o', '/dev/null',
                              f'https://127.0.0.1:{server.port}/{64000 * MIB}')
    bed.check('time_is_up', code == 28, f'{code} {err}')
    reply = bed.get(server, f'/{MIB}')
    bed.check('others_are_served_after_it', reply.code == 0 and len(reply.body) == MIB, reply)


def load(bed, server):
    for name, *options in (('get', '--expect-length', '1000'), ('post', '--data', 'y' * 3000, '--expect-length', '3000')):
        path = bed.path(f'load-{name}.json')
        code, text, err = bed.run(bed.program('plx-load'), '--cacert', bed.cert, '-c', '8', '-m', '8', '-n', '4000', '--expect-status', '200',
                                  *options, '--json', path, f'https://127.0.0.1:{server.port}/1000')
        counts = json.load(open(path))['counts'] if os.path.exists(path) else {}
        bed.check(f'load_{name}', code == 0 and counts.get('ok') == 4000, f'{code} {text} {err} {counts}')


def endings(bed, server):
    bed.check('sigterm_while_idle', server.end() == 0, server.text())
    server = start(bed)
    out = bed.path('open')
    popen = bed.get_start(server, f'/{2000 * MIB}', out)
    bed.check('a_download_is_open', wait_for(lambda: size_of(out) > 0))
    bed.check('sigterm_with_a_download_open', server.end() == 0, server.text())
    bed.check('and_the_client_is_told', popen.wait(PATIENCE) != 0)
    server = start(bed)
    bed.check('sigint', server.end(signal.SIGINT) == 0, server.text())
    code, out, err = bed.run(os.path.join(BUILD, 'apps', 'examples', 'queue'))
    bed.check('usage', code == 2 and 'usage' in err, err)
    code, out, err = bed.run(os.path.join(BUILD, 'apps', 'examples', 'queue'), bed.key, bed.key, f'127.0.0.1:{bed.port()}')
    bed.check('a_wrong_certificate_is_explained', code == 1 and 'key.pem' in err, err)


with Bed() as bed:
    server = start(bed)
    sizes(bed, server)
    echoes(bed, server)
    side_by_side(bed, server)
    cancelled(bed, server)
    load(bed, server)
    endings(bed, server)
sys.exit(bed.end())
