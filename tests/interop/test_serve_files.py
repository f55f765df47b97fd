#!/usr/bin/env python3
"""plx-serve as a file server, over kernel sockets: methods, ranges, conditions, types, and no way out of the root."""
# timeout: 300
import os
import re
import time

import lib
import servers


class Reply:
    def __init__(self, code, text, head, body):
        self.code, self.text, self.body = code, text, body
        blocks = [b for b in re.split(r'\r?\n\r?\n', head) if b.strip()]
        lines = blocks[-1].splitlines() if blocks else ['']
        match = re.match(r'HTTP/3 (\d+)', lines[0])
        self.status = int(match.group(1)) if match else 0
        self.fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(':') for line in lines[1:])}

    def __str__(self):
        return f'status {self.status}, {self.fields}, {len(self.body)} bytes: {self.body[:80]!r}; curl: {self.code} {self.text}'


def ask(lab, server, path, *options):
    folder = lab.make_folder('ask')
    head, body = os.path.join(folder, 'head'), os.path.join(folder, 'body')
    code, text = lab.call('curl', [lib.PEERS, 'run', 'curl', '--http3-only', '-sS', '--path-as-is', '--max-time', '20', '--cacert', lab.cert().ca,
                                   '-D', head, '-o', body, *options, server.url('')[:-1] + path], 30)

    def read(name):
        return open(name, 'rb').read() if os.path.exists(name) else b''
    return Reply(code, text, read(head).decode(errors='replace'), read(body))


def data_of(reply):
    """The body proper: with -I curl writes the header section into the output file as well."""
    return b'' if reply.body.startswith(b'HTTP/3') and reply.body.rstrip().endswith(list(reply.fields.values())[-1].encode()) else reply.body


def make_site(lab):
    site = lab.site({'0.bin': 0, '64k.bin': 64 << 10, 'a b.bin': 100})
    root = site.folder
    for name, text in {'page.html': '<p>page', 'style.css': 'p{}', 'code.js': '1', 'data.json': '{}', 'note.txt': 'note',
                       'sub/index.html': '<p>sub', 'sub/deep/file.txt': 'deep', '.hidden': 'hidden', 'pic.svg': '<svg/>',
                       'p.png': 'x', 'j.jpg': 'x', 'w.wasm': 'x', 'f.woff2': 'x', 'unknown.qqq': 'x'}.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), 'w') as f:
            f.write(text)
    os.makedirs(lab.path('outside'))
    with open(lab.path('outside', 'secret.txt'), 'w') as f:
        f.write('the secret')
    with open(lab.path('secret.txt'), 'w') as f:
        f.write('the secret')
    os.symlink(lab.path('outside', 'secret.txt'), os.path.join(root, 'link.txt'))
    os.symlink(lab.path('outside'), os.path.join(root, 'linkdir'))
    os.symlink('../../secret.txt', os.path.join(root, 'sub', 'up.txt'))
    os.mkdir(os.path.join(root, 'empty'))
    os.mkfifo(os.path.join(root, 'fifo'))
    return site


TYPES = [('/page.html', 'text/html'), ('/style.css', 'text/css'), ('/code.js', 'text/javascript'), ('/data.json', 'application/json'),
         ('/note.txt', 'text/plain'), ('/pic.svg', 'image/svg+xml'), ('/p.png', 'image/png'), ('/j.jpg', 'image/jpeg'),
         ('/w.wasm', 'application/wasm'), ('/f.woff2', 'font/woff2'), ('/unknown.qqq', 'application/octet-stream')]

# Each of these stays inside: never 200, never the secret.
ESCAPES = ['/../secret.txt', '/sub/../../secret.txt', '/%2e%2e/secret.txt', '/%2E%2E%2Fsecret.txt', '/..%2fsecret.txt', '/sub/..%2f..%2fsecret.txt',
           '/....//secret.txt', '/.%2e/secret.txt', '/%252e%252e/secret.txt', '/..%5csecret.txt', '/..\\secret.txt', '/%c0%ae%c0%ae/secret.txt',
           '/note.txt%00.html', '/%00', '/link.txt', '/linkdir/secret.txt', '/sub/up.txt', '//../secret.txt', '/./../secret.txt',
           '/fifo', '/%', '/%2', '/%zz', '/empty', '/nowhere', '/note.txt/', '/note.txt/x', '/' + 'a' * 3000]


def ranges(lab, server, site, check):
    with open(os.path.join(site.folder, '64k.bin'), 'rb') as f:
        data = f.read()
    rows = [('bytes=0-0', 206, data[:1]), ('bytes=10-19', 206, data[10:20]), ('bytes=65535-', 206, data[65535:]), ('bytes=-5', 206, data[-5:]),
            ('bytes=65530-70000', 206, data[65530:]), ('bytes=-70000', 206, data), ('bytes=0-', 206, data)]
    for spec, status, body in rows:
        r = ask(lab, server, '/64k.bin', '-H', f'Range: {spec}')
        first = data.find(body) if len(body) < len(data) else 0
        want = f'bytes {first}-{first + len(body) - 1}/65536'
        check(f'range {spec}', r.status == status and r.body == body and (len(body) < 5 or r.fields.get('content-range') == want), r)
    for spec in ('bytes=65536-', 'bytes=70000-80000', 'bytes=-0'):
        r = ask(lab, server, '/64k.bin', '-H', f'Range: {spec}')
        check(f'range {spec}', r.status == 416 and r.fields.get('content-range') == 'bytes */65536', r)
    for spec in ('lines=1-2', 'bytes=5-1', 'bytes=x-y', 'bytes'):  # RFC 9110 section 14.2: not understood, ignored; invalid, either
        r = ask(lab, server, '/64k.bin', '-H', f'Range: {spec}')
        check(f'range {spec}', r.status == 200 and r.body == data or spec != 'lines=1-2' and r.status in (400, 416), r)
    whole = ask(lab, server, '/64k.bin')
    check('accept_ranges', whole.fields.get('accept-ranges') == 'bytes', whole)
    r = ask(lab, server, '/64k.bin', '-H', 'Range: bytes=0-9', '-H', f'If-Range: {whole.fields.get("etag", "none")}')
    check('if_range same', r.status == 206 and r.body == data[:10], r)
    r = ask(lab, server, '/64k.bin', '-H', 'Range: bytes=0-9', '-H', 'If-Range: "other"')
    check('if_range other', r.status == 200 and r.body == data, r)


def conditions(lab, server, check):
    r = ask(lab, server, '/note.txt')
    etag, modified = r.fields.get('etag', ''), r.fields.get('last-modified', '')
    check('etag_and_last_modified', r.status == 200 and etag != '' and modified.endswith('GMT'), r)
    old = 'Thu, 01 Jan 2004 00:00:00 GMT'
    rows = [('If-None-Match', etag, 304), ('If-None-Match', '"other"', 200), ('If-None-Match', f'"x", {etag}', 304), ('If-None-Match', '*', 304),
            ('If-Modified-Since', modified, 304), ('If-Modified-Since', old, 200),
            ('If-Modified-Since', 'nonsense', 200), ('If-Match', etag, 200), ('If-Match', '"other"', 412), ('If-Match', '*', 200),
            ('If-Unmodified-Since', old, 412), ('If-Unmodified-Since', modified, 200)]
    for i, (name, value, status) in enumerate(rows):
        r = ask(lab, server, '/note.txt', '-H', f'{name}: {value}')
        check(f'condition {i} {name} {status}', r.status == status and (r.body == b'note') == (status == 200), r)


def changes(lab, server, site, check):
    path = os.path.join(site.folder, 'note.txt')
    before = ask(lab, server, '/note.txt')
    time.sleep(1.1)
    with open(path + '.new', 'w') as f:
        f.write('another note')
    os.rename(path + '.new', path)
    end = time.monotonic() + 10
    while (after := ask(lab, server, '/note.txt')).body == b'note' and time.monotonic() < end:
        time.sleep(0.2)
    check('changed_file_is_noticed', after.body == b'another note' and after.fields.get('etag') != before.fields.get('etag'), after)
    os.unlink(path)
    end = time.monotonic() + 10
    while (gone := ask(lab, server, '/note.txt')).status == 200 and time.monotonic() < end:
        time.sleep(0.2)
    check('removed_file_is_noticed', gone.status == 404, gone)


def test(lab):
    check = lab.check
    site = make_site(lab)
    server = servers.plx_serve(lab, site)
    for path, kind in TYPES:
        r = ask(lab, server, path)
        check(f'type {path}', r.status == 200 and r.fields.get('content-type', '').split(';')[0] == kind, r)
    for path in ('/', '/index.html'):
        r = ask(lab, server, path)
        check(f'index {path}', r.status == 200 and b'lab' in r.body, r)
    r = ask(lab, server, '/sub/')
    check('index /sub/', r.status == 200 and r.body == b'<p>sub', r)
    r = ask(lab, server, '/sub')
    check('folder_without_slash', r.status in (301, 308) and r.fields.get('location', '').endswith('/sub/'), r)
    r = ask(lab, server, '/sub/deep/file.txt?query=1')
    check('query_is_ignored', r.status == 200 and r.body == b'deep', r)
    r = ask(lab, server, '/a%20b.bin')
    check('escaped_name', r.status == 200 and len(r.body) == 100, r)
    r = ask(lab, server, '/sub/../data.json')
    check('dots_inside', r.status in (200, 400, 404), r)
    r = ask(lab, server, '/64k.bin', '-I')
    check('head', r.status == 200 and r.fields.get('content-length') == '65536' and data_of(r) == b'', r)
    r = ask(lab, server, '/0.bin')
    check('empty_file', r.status == 200 and r.fields.get('content-length') == '0' and r.body == b'', r)
    for method in ('DELETE', 'PUT', 'POST', 'OPTIONS'):
        r = ask(lab, server, '/data.json', '-X', method)
        check(f'method {method}', r.status in (405, 501) or (method == 'OPTIONS' and r.status in (200, 204)), r)
    for i, path in enumerate(ESCAPES):
        r = ask(lab, server, path)
        check(f'escape {i} {path[:40]}', 300 <= r.status < 500 and b'secret' not in r.body, r)
    ranges(lab, server, site, check)
    conditions(lab, server, check)
    changes(lab, server, site, check)
    check('server_ends_well', server.proc.stop(20) == 0, server.proc.tail())


lib.run(test)
