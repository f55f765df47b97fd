#!/usr/bin/env python3
"""aioquic_serve.py -- an HTTP/3 file server over aioquic; runs in the root of tools/peers.

Usage: aioquic_serve.py ADDRESS PORT CERT KEY FOLDER

It issues session tickets and keeps them, so a client may resume. A file is sent in pieces as the peer takes them.
"""
import asyncio
import os
import sys

from aioquic.asyncio import serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

PIECE, BACKLOG = 256 << 10, 2 << 20


class Server(QuicConnectionProtocol):
    folder = '.'

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.posts = {}
        self.tasks = set()  # the loop itself holds them weakly

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def quic_event_received(self, event):
        for e in self.h3.handle_event(event):
            if isinstance(e, HeadersReceived):
                head = dict(e.headers)
                if head.get(b':method') == b'POST':
                    self.posts[e.stream_id] = bytearray()
                    if e.stream_ended:
                        self.answer(e.stream_id, 200, self.posts.pop(e.stream_id))
                elif b':method' in head:
                    self.spawn(self.send_file(e.stream_id, head))
            elif isinstance(e, DataReceived) and e.stream_id in self.posts:
                self.posts[e.stream_id] += e.data
                if e.stream_ended:
                    self.answer(e.stream_id, 200, bytes(self.posts.pop(e.stream_id)))

    def answer(self, stream, status, body=b''):
        self.h3.send_headers(stream, [(b':status', str(status).encode()), (b'content-length', str(len(body)).encode())])
        self.h3.send_data(stream, body, end_stream=True)
        self.transmit()

    async def send_file(self, stream, head):
        name = os.path.basename(head[b':path'].decode().partition('?')[0])
        path = os.path.join(self.folder, name or 'index.html')
        if not os.path.isfile(path):
            self.answer(stream, 404)
            return
        size = os.path.getsize(path)
        self.h3.send_headers(stream, [(b':status', b'200'), (b'content-length', str(size).encode()), (b'server', b'aioquic')],
                             end_stream=size == 0 or head[b':method'] == b'HEAD')
        if head[b':method'] == b'HEAD':
            size = 0
        with open(path, 'rb') as f:
            while size > 0:
                piece = f.read(PIECE)
                size -= len(piece)
                self.h3.send_data(stream, piece, end_stream=size == 0)
                self.transmit()
                while self.backlog(stream) > BACKLOG:
                    await asyncio.sleep(0.002)
        self.transmit()

    def backlog(self, stream):
        """Bytes written to the stream that the peer has not yet acknowledged."""
        s = self._quic._streams.get(stream)
        return 0 if s is None else s.sender._buffer_stop - s.sender._buffer_start


class Tickets:
    def __init__(self):
        self.kept = {}

    def add(self, ticket):
        self.kept[ticket.ticket] = ticket

    def pop(self, label):
        return self.kept.pop(label, None)


async def main(address, port, cert, key, folder):
    conf = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, max_data=64 << 20, max_stream_data=16 << 20)
    conf.load_cert_chain(cert, key)
    Server.folder = folder
    tickets = Tickets()
    await serve(address, int(port), configuration=conf, create_protocol=Server, session_ticket_fetcher=tickets.pop,
                session_ticket_handler=tickets.add)
    print('listening', flush=True)
    await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
