#!/usr/bin/env python3
"""tools/tidy finds each kind of fault: every row plants one in a small tree of its own and expects the complaint."""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from tap import Tap  # noqa: E402

CLEAN = {
    'lib/base/one.h': '#define ONE 1\n',
    'lib/base/one.c': '#include "base/one.h"\n\nint one(void)\n{\n    return ONE;\n}\n',
    'lib/base/meson.build': "sources = files('one.c')\n",
    'lib/quic/conn.h': '#define CONN 1\n',
    'lib/quic/frame.def': '// PING -- keeps a connection alive\nFRAME(PING, 0x01)\nFRAME(PAD, 0x00, "padding")\n',
    'rfc/rfc9000.txt': '1.  Overview\n\n   Words that\n   are here.\n\n12.3.  Packet Numbers\n\n   Others.\n',
}

# name, files that differ from the clean tree, words of the complaint
ROWS = [
    ('clean', {}, None),
    ('citation_right', {'lib/base/one.h': '//= rfc9000 1 "words that are here"\n'}, None),
    ('call_in_a_comment', {'lib/base/one.h': '// strcpy(a, b) and "sprintf("\n'}, None),
    ('include_up', {'lib/base/one.h': '#include "quic/conn.h"\n'}, 'lib/base may include only'),
    ('include_lost', {'lib/base/one.h': '#include "base/gone.h"\n'}, 'nowhere in the tree'),
    ('openssl_in_base', {'lib/base/one.h': '#include <openssl/ssl.h>\n'}, '<openssl/ssl.h> stands only in'),
    ('dpdk_in_quic', {'lib/quic/conn.h': '#include <rte_mbuf.h>\n'}, '<rte_mbuf.h> stands only in'),
    ('banned_call', {'lib/base/one.h': 'static inline void f(char *a)\n{\n    strcpy(a, "x");\n}\n'}, 'strcpy() is not used here'),
    ('malloc_in_quic', {'lib/quic/conn.h': 'static inline void *f(void)\n{\n    return malloc(1);\n}\n'}, 'malloc() stands only in'),
    ('clock_in_quic', {'lib/quic/conn.h': 'static inline int f(void)\n{\n    return clock_gettime(0, 0);\n}\n'}, 'clock_gettime() stands only'),
    ('def_without_words', {'lib/quic/frame.def': 'FRAME(PING, 0x01)\n'}, 'a row without a word'),
    ('dead_file', {'lib/base/two.c': 'int two(void);\n'}, 'no meson.build names this file'),
    ('formatting', {'lib/base/one.h': 'int   f( void );\n'}, 'not as clang-format would have it'),
    ('citation_malformed', {'lib/base/one.h': '//= RFC 9000 says so\n'}, 'malformed citation'),
    ('citation_wrong_words', {'lib/base/one.h': '//= rfc9000 1 "words that are not"\n'}, 'these words are not in that section'),
    ('citation_wrong_section', {'lib/base/one.h': '//= rfc9000 12.3 "words that are here"\n'}, 'these words are not in that section'),
    ('document_right', {'README.md': '<!-- lib/base/one.h -->\n```c\n#define ONE 1\n```\n'}, None),
    ('document_stale', {'README.md': '<!-- lib/base/one.h -->\n```c\n#define ONE 2\n```\n'}, 'is not what stands here'),
    ('document_of_nothing', {'README.md': '<!-- lib/base/gone.h -->\n```c\n#define ONE 1\n```\n'}, 'nowhere in the tree'),
    ('citation_no_section', {'lib/base/one.h': '//= rfc9000 99 "words"\n'}, 'there is no such section'),
]


def run(row_files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**CLEAN, **row_files}.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
                f.write(text)
        os.mkdir(os.path.join(folder, 'tools'))
        for name in ('tools/tidy', 'tools/layers.txt', '.clang-format'):
            shutil.copy(os.path.join(TOP, name), os.path.join(folder, name))
        env = {**os.environ, 'GIT_CEILING_DIRECTORIES': folder, 'XDG_CACHE_HOME': os.path.join(folder, 'build')}
        done = subprocess.run([os.path.join(folder, 'tools/tidy'), '--rfc', os.path.join(folder, 'rfc')], env=env,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


tap = Tap()
for name, files, words in ROWS:
    code, out = run(files)
    good = code == 0 if words is None else code == 1 and words in out and ', 1 complaints' in out
    tap.check('tidy_' + name, good, out)
sys.exit(tap.end())
