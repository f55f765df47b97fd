"""cert.py -- a certificate that vouches for itself, for tests that need no more. Two days, ECDSA P-256."""
import os
import subprocess


def self_signed(folder, *names, subject='localhost', stem=''):
    """names: 'DNS:localhost', 'IP:127.0.0.1'... The paths of the certificate and of its key."""
    cert, key = (os.path.join(folder, stem + file) for file in ('cert.pem', 'key.pem'))
    more = ['-addext', 'subjectAltName=' + ','.join(names)] if names else []
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
                    f'/CN={subject}', *more, '-keyout', key, '-out', cert], check=True, capture_output=True)
    return cert, key
