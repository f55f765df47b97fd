#!/usr/bin/env python3
"""install_check -- what `meson install` leaves is enough for a stranger: headers, both libraries, a pkg-config file.

Usage: install_check.py BUILD-FOLDER        (a part of tools/test; reports in TAP lines)
"""
import glob
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
failed = 0

# Something of every part that a program links to: the library's plain functions, the engine behind them, the port.
OUTSIDE = r'''
#include <plx/port.h>
#include <plx/types.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct plx_addr addr;
    char text[PLX_ADDR_STRLEN];
    if (!plx_addr_parse("[2001:db8::1]:4433", &addr) || strcmp(plx_addr_str(&addr, text), "[2001:db8::1]:4433") != 0)
        return 1;
    struct plx_port *port = plx_port_udp();
    if (port == NULL)
        return 2;
    plx_port_free(port);
    printf("%s\n", plx_err_str(PLX_ERR_NOMEM));
    return 0;
}
'''


def check(name, is_ok, detail=''):
    global failed
    print(('ok ' if is_ok else 'not ok ') + name, flush=True)
    if not is_ok:
        failed += 1
        print('\n'.join('# ' + line for line in detail.strip().splitlines()[:40]), flush=True)
    return is_ok


def sh(*argv, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout + done.stderr


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def check_exports(library, include):
    """The shared library shows what the headers declare, and nothing else."""
    code, out = sh('nm', '-D', '--defined-only', library)
    shown = {line.split()[-1].split('@')[0] for line in out.splitlines()}
    declared = set()
    for h in glob.glob(os.path.join(include, 'plx', '*.h')):
        with open(h, encoding='utf-8') as f:
            declared |= set(re.findall(r'^PLX_API[^;(]*?\b(plx_\w+)\(', f.read(), re.M))
    check('exports_what_headers_declare', code == 0 and len(declared) > 50 and shown == declared,
          f'only in the library: {sorted(shown - declared)}\nonly in the headers: {sorted(declared - shown)}')
    code, out = sh('readelf', '-d', library)
    check('soname', 'soname: [libpollux.so.0]' in out, out)


def check_hello(program, build, libdir, scratch):
    """The README's first program serves what it says, to plx-get of this build."""
    cert, key = os.path.join(scratch, 'cert.pem'), os.path.join(scratch, 'key.pem')
    code, out = sh('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                   '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert)
    port = free_port()
    server = subprocess.Popen([program, cert, key, f'127.0.0.1:{port}'], env={**os.environ, 'LD_LIBRARY_PATH': libdir})
    try:
        for _ in range(20):  # until it listens
            code, out = sh(os.path.join(build, 'apps/plx-get'), '-s', '--cacert', cert, '--connect-timeout', '2', '--connect-to',
                           f'127.0.0.1:{port}', f'https://localhost:{port}/')
            if code == 0 or server.poll() is not None:
                break
            time.sleep(0.1)
        check('serves ' + os.path.basename(program), code == 0 and out == 'hello\n', f'exit status {code}\n{out}')
        server.terminate()
        check('stops ' + os.path.basename(program), server.wait(timeout=20) == 0)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def readme_programs():
    with open(os.path.join(TOP, 'README.md'), encoding='utf-8') as f:
        blocks = re.findall(r'^```c\n(.*?)^```', f.read(), re.S | re.M)
    return [b for b in blocks if re.search(r'\bmain\(', b)]


def check_headers(include, cflags, scratch):
    headers = sorted(glob.glob(os.path.join(include, 'plx', '*.h')))
    check('headers_installed', len(headers) >= 3, f'found {headers}')
    for h in headers:
        name = os.path.basename(h)
        source = os.path.join(scratch, 'one.c')
        with open(source, 'w') as f:
            f.write(f'#include <plx/{name}>\n#include <plx/{name}>\nint one;\n')
        check(f'header_alone_c {name}', *[(c == 0, o) for c, o in [
            sh('gcc', '-std=c17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', *cflags, source)]][0])
        check(f'header_alone_cxx {name}', *[(c == 0, o) for c, o in [
            sh('clang++', '-std=c++17', '-nostdinc++', '-Wall', '-Werror', '-fsyntax-only', '-x', 'c++', *cflags, source)]][0])


def check_program(name, text, pkg, libdir, scratch, run):
    source = os.path.join(scratch, name + '.c')
    with open(source, 'w') as f:
        f.write(text)
    for kind in ('shared', 'static'):
        program = os.path.join(scratch, f'{name}-{kind}')
        flags = pkg('--cflags', '--libs', *(['--static'] if kind == 'static' else []))
        if kind == 'static':  # the archive itself in place of -lpollux, which would find the shared one
            flags = [os.path.join(libdir, 'libpollux.a') if f == '-lpollux' else f for f in flags]
        code, out = sh('gcc', '-std=gnu17', '-Wall', '-Wextra', '-Werror', '-o', program, source, *flags)
        if not check(f'builds_{kind} {name}', code == 0, out):
            continue
        code, out = sh('ldd', program, env={'LD_LIBRARY_PATH': libdir})
        check(f'links_{kind} {name}', 'not found' not in out and ('libpollux' in out) == (kind == 'shared'), out)
        if run:
            code, out = sh(program, env={'LD_LIBRARY_PATH': libdir})
            check(f'runs_{kind} {name}', code == 0 and out.strip() != '', f'exit status {code}\n{out}')


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix='plx-install-') as scratch:
        dest = os.path.join(scratch, 'dest')
        code, out = sh('meson', 'install', '-C', build, '--destdir', dest, '--no-rebuild')
        if not check('meson_install', code == 0, out):
            return 1
        found = glob.glob(dest + '/**/pollux.pc', recursive=True)
        if not check('pkg_config_file', len(found) == 1, f'found {found}; installed:\n' + out):
            return 1
        libdir = os.path.dirname(os.path.dirname(found[0]))
        include = glob.glob(dest + '/**/include', recursive=True)[0]
        for name in ('libpollux.so', 'libpollux.a'):
            check(f'installed {name}', os.path.exists(os.path.join(libdir, name)))
        check_exports(os.path.join(libdir, 'libpollux.so'), include)

        # The file names the final prefix, which lies below the scratch folder here. (--define-prefix would move DPDK's as well.)
        with open(found[0]) as f:
            text = f.read()
        prefix = re.search(r'^prefix=(.*)$', text, re.M).group(1)
        with open(found[0], 'w') as f:
            f.write(text.replace(f'prefix={prefix}', f'prefix={dest}{prefix}', 1))
        env = {'PKG_CONFIG_PATH': os.path.dirname(found[0])}

        def pkg(*args):
            done = subprocess.run(['pkg-config', *args, 'pollux'], capture_output=True, text=True, env={**os.environ, **env})
            if done.returncode != 0:
                check('pkg_config ' + ' '.join(args), False, done.stderr)
            return done.stdout.split()

        with open(os.path.join(build, 'meson-info', 'intro-projectinfo.json')) as f:
            version = re.search(r'"version":\s*"([^"]+)"', f.read()).group(1)
        check('pkg_config_version', pkg('--modversion') == [version], f'{pkg("--modversion")} is not {version}')
        for extra in ([], ['--static']):
            cflags = pkg('--cflags', *extra)
            check('pkg_config_cflags ' + ' '.join(extra), cflags == ['-I' + os.path.join(dest + prefix, 'include')], f'{cflags}')
        check_headers(include, ['-I' + include], scratch)
        check_program('outside', OUTSIDE, pkg, libdir, scratch, True)
        programs = readme_programs()
        check('readme_has_programs', len(programs) >= 2, 'README.md should hold two whole C programs: hello over HTTP/3, and a raw echo')
        for i, text in enumerate(programs, 1):
            check(f'readme_program_is_short {i}', text.count('\n') < 60, f'{text.count(chr(10))} lines')
            check_program(f'readme{i}', text, pkg, libdir, scratch, False)
        for kind in ('shared', 'static'):
            check_hello(os.path.join(scratch, f'readme1-{kind}'), build, libdir, scratch)
    return 1 if failed else 0


sys.exit(main())
