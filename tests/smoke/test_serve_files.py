#!/usr/bin/env python3
"""plx-serve and plx-get as programs, with each other: what is served, what is refused, and that nothing leads out of the root."""
# timeout: 300
import os
import sys
import time

from bed import Bed

TYPES = {'page.html': 'text/html; charset=utf-8', 'page.HTM': 'text/html; charset=utf-8', 'a.css': 'text/css; charset=utf-8',
         'a.js': 'text/javascript; charset=utf-8', 'a.mjs': 'text/javascript; charset=utf-8', 'a.json': 'application/json',
         'a.txt': 'text/plain; charset=utf-8', 'a.md': 'text/markdown; charset=utf-8', 'a.xml': 'application/xml', 'a.svg': 'image/svg+xml',
         'a.png': 'image/png', 'a.jpg': 'image/jpeg', 'a.JPEG': 'image/jpeg', 'a.gif': 'image/gif', 'a.webp': 'image/webp',
         'a.avif': 'image/avif', 'a.ico': 'image/vnd.microsoft.icon', 'a.woff2': 'font/woff2', 'a.wasm': 'application/wasm',
         'a.pdf': 'application/pdf', 'a.zip': 'application/zip', 'a.tar.gz': 'application/gzip', 'a.mp4': 'video/mp4',
         'a.webm': 'video/webm', 'a.mp3': 'audio/mpeg', 'a.csv': 'text/csv; charset=utf-8', 'a.unknown': 'application/octet-stream',
         'noending': 'application/octet-stream', 'html': 'application/octet-stream', 'dir.html/noending': 'application/octet-stream'}

# path, status. None of them is 200, and none brings the secret.
REFUSED = [('/../secret', 400), ('/%2e%2e/secret', 400), ('/%2E%2E%2Fsecret', 400), ('/sub/../../secret', 400), ('/sub/%2e%2e/%2e%2e/secret', 400),
           ('/..%2fsecret', 400), ('/.%2e/secret', 400), ('//../secret', 400), ('/./../secret', 400), ('/..', 400), ('/%2e%2e', 400),
           ('/a.txt%00', 400), ('/%00', 400), ('/..\\secret', 400), ('/..%5csecret', 400), ('/a%0d%0ab', 400), ('/%7f', 400),
           ('/%', 400), ('/%2', 400), ('/%zz', 400), ('/' + 'a' * 5000, 414), ('/%c0%ae%c0%ae/secret', 404), ('/%252e%252e/secret', 404),
           ('/.../secret', 404), ('/link', 403), ('/linkdir/secret', 403), ('/sub/up', 403), ('/absolute', 403), ('/loop', 403),
           ('/fifo', 403), ('/empty/', 404), ('/nowhere', 404), ('/a.txt/', 404), ('/a.txt/x', 404), ('/' + 'b' * 300, 404)]

DATA = bytes(i * 7 % 251 for i in range(70000))
# Range, status, first, end of what is sent
RANGES = [('bytes=0-0', 206, 0, 1), ('bytes=10-19', 206, 10, 20), ('bytes=69999-', 206, 69999, 70000), ('bytes=0-', 206, 0, 70000),
          ('bytes=-1', 206, 69999, 70000), ('bytes=-70000', 206, 0, 70000), ('bytes=-99999', 206, 0, 70000),
          ('bytes=69990-99999', 206, 69990, 70000), ('bytes=0-18446744073709551616', 206, 0, 70000), ('BYTES=1-2', 206, 1, 3),
          ('bytes=70000-', 416, 0, 0), ('bytes=70001-70005', 416, 0, 0), ('bytes=-0', 416, 0, 0),
          ('bytes=99999999999999999999-', 416, 0, 0), ('bytes=5-1', 200, 0, 70000), ('lines=1-2', 200, 0, 70000), ('bytes=', 200, 0, 70000),
          ('bytes=-', 200, 0, 70000), ('bytes=a-b', 200, 0, 70000), ('bytes=0-1,5-6', 200, 0, 70000), ('bytes', 200, 0, 70000)]


def make_site(bed):
    for name in TYPES:
        bed.write(f'site/{name}', f'content of {name}')
    bed.write('site/data.bin', DATA)
    bed.write('site/big.bin', DATA * 60)  # beyond what is kept in memory
    bed.write('site/zero', '')
    bed.write('site/index.html', 'the index')
    bed.write('site/sub/index.html', 'index of sub')
    bed.write('site/a b+c/ü/x.txt', 'odd names')
    bed.write('site/what?/index.html', 'question')
    bed.write('secret', 'TOP SECRET')
    site = bed.path('site')
    os.makedirs(f'{site}/empty')
    os.mkfifo(f'{site}/fifo')
    os.symlink('../secret', f'{site}/link')
    os.symlink('..', f'{site}/linkdir')
    os.symlink('../../secret', f'{site}/sub/up')
    os.symlink(bed.path('secret'), f'{site}/absolute')
    os.symlink('loop', f'{site}/loop')
    os.symlink('a.txt', f'{site}/inside')
    return site


def what_is_served(bed, server):
    for name, kind in TYPES.items():
        r = bed.get(server, '/' + name)
        bed.check(f'type {name}', r.status == 200 and r.fields.get('content-type') == kind and r.body == f'content of {name}'.encode(), r)
    rows = [('/', b'the index'), ('/index.html', b'the index'), ('/sub/', b'index of sub'), ('/sub/index.html', b'index of sub'),
            ('/inside', b'content of a.txt'), ('/a.txt?query=1', b'content of a.txt'), ('/sub/../a.txt', b'content of a.txt'),
            ('/./a.txt', b'content of a.txt'), ('//a.txt', b'content of a.txt'), ('/%61.txt', b'content of a.txt'),
            ('/a%20b+c/%C3%BC/x.txt', b'odd names'), ('/zero', b''), ('/data.bin', DATA), ('/big.bin', DATA * 60)]
    for path, body in rows:
        r = bed.get(server, path)
        bed.check(f'body {path}', r.code == 0 and r.status == 200 and r.body == body and r.fields.get('content-length') == str(len(body)), r)
    r = bed.get(server, '/')
    bed.check('index_is_html', r.fields.get('content-type') == 'text/html; charset=utf-8', r)
    for path, to in (('/sub', '/sub/'), ('/a%20b+c', '/a%20b+c/'), ('/a%20b+c/%C3%BC', '/a%20b+c/%C3%BC/'), ('/what%3F', '/what%3F/'),
                     ('/sub?q=1', '/sub/?q=1')):
        r = bed.get(server, path)
        bed.check(f'redirect {path}', r.status == 301 and r.fields.get('location') == to, r)
    for name, size in (('a.txt', 16), ('data.bin', 70000), ('big.bin', 4200000), ('zero', 0)):
        r = bed.get(server, '/' + name, '-I')
        bed.check(f'head {name}', r.code == 0 and r.status == 200 and r.fields.get('content-length') == str(size) and r.body == b'', r)
    r = bed.get(server, '/nowhere', '-I')
    bed.check('head of nothing', r.code == 0 and r.status == 404 and r.body == b'', r)


def what_is_refused(bed, server):
    for path, status in REFUSED:
        r = bed.get(server, path)
        bed.check(f'refused {path[:40]}', r.status == status and b'SECRET' not in r.body, r)
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'BREW', 'get'):
        r = bed.get(server, '/a.txt', '-X', method)
        bed.check(f'method {method}', r.status == 405 and r.fields.get('allow') == 'GET, HEAD', r)
    r = bed.get(server, '/a.txt', '-d', 'x' * 100000)
    bed.check('a body is not wanted', r.status == 405, r)


def ranges(bed, server):
    for name, data in (('data.bin', DATA), ('big.bin', DATA * 60)):
        size = len(data)
        for spec, status, first, end in RANGES:
            if size != 70000 and status != 206:
                continue
            if size != 70000 and (spec[6:].startswith('-') or end == 70000):
                continue
            r = bed.get(server, '/' + name, '-H', f'Range: {spec}')
            ok = r.status == status and (status == 416 or r.body == data[first:end])
            ok &= r.fields.get('content-range') == {206: f'bytes {first}-{end - 1}/{size}', 416: f'bytes */{size}', 200: None}[status]
            bed.check(f'range {name} {spec}', ok, r)
    big = DATA * 60
    for first, end in ((4199999, 4200000), (65530, 200000), (1 << 20, (1 << 20) + 1)):
        r = bed.get(server, '/big.bin', '-H', f'Range: bytes={first}-{end - 1}')
        bed.check(f'range big.bin {first}-{end - 1}', r.status == 206 and r.body == big[first:end], r)
    for spec in ('bytes=0-', 'bytes=-1', 'bytes=0-0'):
        r = bed.get(server, '/zero', '-H', f'Range: {spec}')
        bed.check(f'range zero {spec}', r.status == 416 and r.fields.get('content-range') == 'bytes */0', r)
    r = bed.get(server, '/data.bin', '-I', '-H', 'Range: bytes=0-9')  # RFC 9110 section 14.2: defined for GET alone
    bed.check('range with HEAD', r.status == 200 and r.fields.get('content-length') == '70000', r)
    r = bed.get(server, '/nowhere', '-H', 'Range: bytes=0-9')
    bed.check('range of nothing', r.status == 404, r)


def conditions(bed, server):
    r = bed.get(server, '/a.txt')
    etag, date = r.fields.get('etag', ''), r.fields.get('last-modified', '')
    bed.check('validators', etag.startswith('"') and etag.endswith('"') and len(etag) > 2 and date.endswith(' GMT'), r)
    old, new = 'Thu, 01 Jan 2004 00:00:00 GMT', 'Fri, 01 Jan 2100 00:00:00 GMT'
    rows = [(('If-None-Match', etag), 304), (('If-None-Match', f'W/{etag}'), 304), (('If-None-Match', f'"x", {etag}'), 304),
            (('If-None-Match', '*'), 304), (('If-None-Match', '"x"'), 200), (('If-None-Match', etag[:-1]), 200), (('If-None-Match', ''), 200),
            (('If-Match', etag), 200), (('If-Match', '*'), 200), (('If-Match', f'"a","b" , {etag}'), 200), (('If-Match', '"x"'), 412),
            (('If-Match', f'W/{etag}'), 412),  # strong comparison
            (('If-Modified-Since', date), 304), (('If-Modified-Since', new), 304), (('If-Modified-Since', old), 200),
            (('If-Modified-Since', 'yesterday'), 200), (('If-Unmodified-Since', date), 200), (('If-Unmodified-Since', old), 412),
            (('If-Unmodified-Since', 'yesterday'), 200),
            # RFC 9110 section 13.2.2: which one counts
            (('If-None-Match', '"x"', 'If-Modified-Since', new), 200), (('If-None-Match', etag, 'If-Modified-Since', old), 304),
            (('If-Match', etag, 'If-Unmodified-Since', old), 200), (('If-Match', '"x"', 'If-None-Match', etag), 412),
            (('If-Match', etag, 'If-None-Match', etag), 304)]
    for i, (fields, status) in enumerate(rows):
        options = [o for k in range(0, len(fields), 2) for o in ('-H', f'{fields[k]}: {fields[k + 1]}')]
        r = bed.get(server, '/a.txt', *options)
        ok = r.status == status and (r.body == b'content of a.txt') == (status == 200) and (status != 304 or r.fields.get('etag') == etag)
        bed.check(f'condition {i} {fields[0]} {status}', ok and r.code == 0, r)
    whole = bed.get(server, '/data.bin')
    etag, date = whole.fields['etag'], whole.fields['last-modified']
    for value, status in ((etag, 206), ('"x"', 200), (f'W/{etag}', 200), (date, 206), (old, 200), (new, 200), ('nonsense', 200)):
        r = bed.get(server, '/data.bin', '-H', 'Range: bytes=5-9', '-H', f'If-Range: {value}')
        bed.check(f'if_range {value[:12]} {status}', r.status == status and r.body == (DATA[5:10] if status == 206 else DATA), r)


def changes(bed, server):
    def until(name, path, is_there):
        end = time.monotonic() + 30
        while not is_there(r := bed.get(server, path)) and time.monotonic() < end:
            time.sleep(0.1)
        bed.check(name, is_there(r), r)

    bed.write('site/changing', 'one')
    before = bed.get(server, '/changing')
    bed.check('before the change', before.body == b'one', before)
    bed.write('site/changing', 'another')
    until('written again', '/changing', lambda r: r.body == b'another' and r.fields['etag'] != before.fields['etag'])
    bed.write('site/changing.new', 'renamed')
    os.rename(bed.path('site/changing.new'), bed.path('site/changing'))
    until('another file of that name', '/changing', lambda r: r.body == b'renamed')
    os.unlink(bed.path('site/changing'))
    until('gone', '/changing', lambda r: r.status == 404)
    os.mkdir(bed.path('site/changing'))
    until('a folder now', '/changing', lambda r: r.status == 301)
    bed.write('site/data.bin', DATA[:1000])  # kept in memory until now
    until('shorter', '/data.bin', lambda r: r.body == DATA[:1000])


def resources_go_first(bed):
    """Answers that are ready are found before anything else is asked, but never in the place of what has a name of its own."""
    server = bed.serve('--root', bed.path('site'), '--echo', '/a.txt', '--counters', '/a.css')
    for i in range(3):
        r = bed.get(server, '/a.js')
        bed.check(f'a file beside resources {i}', r.status == 200 and r.body == b'content of a.js', r)
        r = bed.get(server, '/a.txt', '-d', 'ping')
        bed.check(f'the echo {i}', r.status == 200 and r.body == b'ping', r)
        r = bed.get(server, '/a.css')
        bed.check(f'the counters {i}', r.status == 200 and b'plx_requests_total' in r.body, r)
    bed.check('server of resources ends well', server.end() == 0, server.text())


def kept_whole(bed):
    """Files as large as one says are read once and kept, and are the same octets."""
    big, size = DATA * 60, len(DATA) * 60

    def has_open(server, name):
        folder = f'/proc/{server.popen.pid}/fd'
        return any(os.path.realpath(f'{folder}/{fd}') == os.path.realpath(bed.path(f'site/{name}')) for fd in os.listdir(folder))
    for options, is_whole in (((), False), (('--cache', '8', '--cache-file', '8192'), True), (('--cache-file', str(size // 1024)), False), (('--cache-file', str(size // 1024 + 1)), True),
                              (('--cache-file', '0'), False)):
        server = bed.serve('--root', bed.path('site'), *options)
        for i in range(2):
            r = bed.get(server, '/big.bin')
            bed.check(f'big.bin {i} with {options}', r.status == 200 and r.body == big, r.status)
        bed.check(f'big.bin is kept with {options}', has_open(server, 'big.bin') != is_whole)
        r = bed.get(server, '/big.bin', '-H', 'Range: bytes=4000000-4199998')
        bed.check(f'range of big.bin with {options}', r.status == 206 and r.body == big[4000000:4199999], r.status)
        r = bed.get(server, '/big.bin', '-I')
        bed.check(f'head of big.bin with {options}', r.status == 200 and r.fields.get('content-length') == str(size) and r.body == b'', r)
        bed.check(f'server with {options} ends well', server.end() == 0, server.text())
    # As large as the whole cache, which has no room for what goes with it: kept by nobody, so it must not be read whole for each response.
    full = bytes(5 << 20)
    bed.write('site/full.bin', full)
    server = bed.serve('--root', bed.path('site'), '--cache', '5', '--cache-file', '5120')
    r = bed.get(server, '/full.bin')
    bed.check('full.bin', r.status == 200 and r.body == full, r.status)
    bed.check('full.bin is read in pieces', has_open(server, 'full.bin'))
    bed.check('server of full.bin ends well', server.end() == 0, server.text())


def main(bed):
    server = bed.serve('--root', make_site(bed), '--stats')
    what_is_served(bed, server)
    what_is_refused(bed, server)
    ranges(bed, server)
    conditions(bed, server)
    changes(bed, server)
    kept_whole(bed)
    resources_go_first(bed)
    status = server.end()
    bed.check('server ends well', status == 0 and 'still open: 0 connections, 0 streams' in server.text(), f'{status}: {server.text()}')


if __name__ == '__main__':
    with Bed() as the_bed:
        main(the_bed)
    sys.exit(the_bed.end())
