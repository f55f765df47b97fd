#!/usr/bin/env python3
"""aioquic_get.py -- an HTTP/3 client over aioquic; runs in the root of tools/peers.

Usage: aioquic_get.py --ca FILE --folder FOLDER [--post FILE] [--ciphers N,N] [--ticket FILE] [--keylog FILE] [--rebind]
                      [--connections N] URL...

All URLs go over one connection, side by side, up to the streams that the server allows. For each, one line of JSON:
{"url":…, "status":…, "length":…, "resumed":…}. Exit status 0 when every response arrived whole with a 2xx status.
--rebind changes the local port in the middle of the transfer, as a NAT does. --connections opens that many, and only when all
of them stand fetches over each; the files of the n-th go into FOLDER/n.
"""
import argparse
import asyncio
import contextlib
import json
import os
import pickle
import ssl
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset


class Fetch:
    def __init__(self, url, path):
        self.url, self.status, self.length, self.error = url, 0, 0, None
        self.headers = {}
        self.file = open(path, 'wb')
        self.done = asyncio.get_running_loop().create_future()

    def finish(self, error=None):
        if not self.done.done():
            self.error = error
            self.file.close()
            self.done.set_result(None)


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.fetches = {}

    def begin(self, fetch, body):
        url = urlsplit(fetch.url)
        stream = self._quic.get_next_available_stream_id()
        self.fetches[stream] = fetch
        headers = [(b':method', b'POST' if body is not None else b'GET'), (b':scheme', b'https'), (b':authority', url.netloc.encode()),
                   (b':path', (url.path or '/').encode()), (b'user-agent', b'aioquic')]
        if body is not None:
            headers += [(b'content-length', str(len(body)).encode()), (b'content-type', b'application/octet-stream')]
        self.h3.send_headers(stream, headers, end_stream=body is None)
        if body is not None:
            self.h3.send_data(stream, body, end_stream=True)
        self.transmit()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for f in self.fetches.values():
                f.finish(f'connection closed: error {event.error_code:#x} {event.reason_phrase}')
        elif isinstance(event, StreamReset) and event.stream_id in self.fetches:
            self.fetches[event.stream_id].finish(f'stream reset: error {event.error_code:#x}')
        for e in self.h3.handle_event(event):
            fetch = self.fetches.get(getattr(e, 'stream_id', None))
            if fetch is None:
                continue
            if isinstance(e, HeadersReceived):
                fetch.headers = {k.decode(): v.decode() for k, v in e.headers}
                if ':status' in fetch.headers and int(fetch.headers[':status']) >= 200:
                    fetch.status = int(fetch.headers[':status'])
            elif isinstance(e, DataReceived):
                fetch.file.write(e.data)
                fetch.length += len(e.data)
            if e.stream_ended:
                want = fetch.headers.get('content-length')
                fetch.finish(None if want in (None, str(fetch.length)) else f'content-length {want}, but {fetch.length} bytes came')


def configure(args):
    conf = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_REQUIRED, max_data=1 << 30,
                             max_stream_data=64 << 20, idle_timeout=30)
    conf.load_verify_locations(args.ca)
    if args.ciphers:
        from aioquic.tls import CipherSuite
        conf.cipher_suites = [CipherSuite[c] for c in args.ciphers.split(',')]
    if args.keylog:
        conf.secrets_log_file = open(args.keylog, 'a')
    if args.ticket and os.path.exists(args.ticket):
        with open(args.ticket, 'rb') as f:
            conf.session_ticket = pickle.load(f)
    return conf


async def rebind(client):
    """Another local port, without telling the connection: what a NAT does to it."""
    await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    old = client._transport
    family_host = '::' if ':' in old.get_extra_info('sockname')[0] else '127.0.0.1'
    transport, _ = await loop.create_datagram_endpoint(lambda: Forward(client), local_addr=(family_host, 0))
    client._transport = transport
    old.close()
    # Somebody behind a NAT goes on sending; a client that only waits would be unknown at its new address for ever.
    client._quic.send_ping(0)
    client.transmit()


class Forward(asyncio.DatagramProtocol):
    """Hands what arrives on the new socket to the connection, which keeps its own life apart from it."""

    def __init__(self, client):
        self.client = client

    def datagram_received(self, data, addr):
        self.client.datagram_received(data, addr)


async def fetch_all(args, client, folder, body):
    """Every URL over one connection; aioquic holds streams beyond the server's limit back by itself."""
    fetches = []
    os.makedirs(folder, exist_ok=True)
    for u in args.urls:
        f = Fetch(u, os.path.join(folder, os.path.basename(urlsplit(u).path) or 'index.html'))
        if args.pause and fetches:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(fetches[-1].done), args.timeout)
            await asyncio.sleep(args.pause)
        fetches.append(f)
        client.begin(f, body)
    for f in fetches:
        try:
            await asyncio.wait_for(f.done, args.timeout)
        except asyncio.TimeoutError:
            f.finish(f'no end after {args.timeout} s, {f.length} bytes came')
    return fetches


async def main(args):
    def save_ticket(ticket):
        if args.ticket:
            with open(args.ticket, 'wb') as f:
                pickle.dump(ticket, f)

    url = urlsplit(args.urls[0])
    body = open(args.post, 'rb').read() if args.post else None
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(args.connections):
            clients.append(await stack.enter_async_context(connect(
                url.hostname, url.port, configuration=configure(args), create_protocol=Client, session_ticket_handler=save_ticket)))
        moving = asyncio.create_task(rebind(clients[0])) if args.rebind else None
        folders = [args.folder] if args.connections == 1 else [os.path.join(args.folder, str(i)) for i in range(args.connections)]
        done = await asyncio.gather(*(fetch_all(args, c, folder, body) for c, folder in zip(clients, folders)))
        if moving:
            await moving
        resumed = clients[0]._quic.tls.session_resumed
        await asyncio.sleep(0.1 if args.ticket else 0)
        for c in clients:  # together: one after the other each would sit out its draining period
            c.close()
        await asyncio.gather(*(c.wait_closed() for c in clients))
    fetches = [f for part in done for f in part]
    for f in fetches:
        print(json.dumps({'url': f.url, 'status': f.status, 'length': f.length, 'resumed': resumed, 'error': f.error,
                          'headers': f.headers}))
    return 0 if all(f.error is None and 200 <= f.status < 300 for f in fetches) else 1


parser = argparse.ArgumentParser()
parser.add_argument('--ca', required=True)
parser.add_argument('--folder', required=True)
parser.add_argument('--post')
parser.add_argument('--ciphers')
parser.add_argument('--ticket')
parser.add_argument('--keylog')
parser.add_argument('--rebind', action='store_true')
parser.add_argument('--pause', type=float, help='seconds of silence between one answer and the next request')
parser.add_argument('--connections', type=int, default=1)
parser.add_argument('--timeout', type=float, default=200)
parser.add_argument('urls', nargs='+')
sys.exit(asyncio.run(main(parser.parse_args())))
