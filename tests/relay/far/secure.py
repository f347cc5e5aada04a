# A far side of other people's making: aiosmtpd on OpenSSL, with the mechanisms of AUTH that it has, and those it has not
# written with Python's own hashlib. It prints a line for each message: how it came, and by which mechanism.
#
#   secure.py HOST PORT CERTIFICATE KEY LEAST MOST USER PASSWORD MECHANISM...
import asyncio, base64, hashlib, hmac, os, ssl, sys, warnings
from aiosmtpd.smtp import SMTP, AuthResult, MISSING

host, port, certificate, key, least, most, user, password, *offered = sys.argv[1:]
versions = {'1.0': ssl.TLSVersion.TLSv1, '1.1': ssl.TLSVersion.TLSv1_1, '1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}
warnings.simplefilter('ignore')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if most in ('1.0', '1.1'):
    context.set_ciphers('ALL:@SECLEVEL=0')
context.minimum_version, context.maximum_version = versions[least], versions[most]


def no(reason):
    return AuthResult(success=False, handled=False, message='535 5.7.8 ' + reason)


def said(mechanism):
    print('AUTH', mechanism, flush=True)
    return AuthResult(success=True, handled=True, auth_data=mechanism)


class Host:
    async def handle_DATA(self, server, session, envelope):
        tls = server.transport.get_extra_info('ssl_object')
        how = f'{tls.version()} reused={tls.session_reused}' if tls else 'clear'
        print('MESSAGE', *envelope.rcpt_tos, how, 'as', session.auth_data, flush=True)
        return '250 2.0.0 taken'

    async def token(self, server, args, mechanism, right):
        words = args[1] if len(args) > 1 else await server.challenge_auth('', log_client_response=False)
        words = base64.b64decode(words) if isinstance(words, str) else words
        if words == right:
            return said(mechanism)
        await server.challenge_auth('{"status":"401"}')
        return no('that token is not good')

    async def auth_XOAUTH2(self, server, args):
        right = f'user={user}\x01auth=Bearer {password}\x01\x01'.encode()
        return await self.token(server, args, 'XOAUTH2', right)

    async def auth_OAUTHBEARER(self, server, args):
        right = f'n,a={user},\x01host=[{host}]\x01port={port}\x01auth=Bearer {password}\x01\x01'.encode()
        return await self.token(server, args, 'OAUTHBEARER', right)

    async def auth_SCRAM__SHA__256(self, server, args):
        sha = lambda key, words: hmac.new(key, words, hashlib.sha256).digest()
        first = base64.b64decode(args[1]).decode()
        assert first.startswith('n,,'), first
        bare = first[3:]
        parts = dict(part.split('=', 1) for part in bare.split(','))
        salt, rounds = os.urandom(16), 4096
        nonce = parts['r'] + base64.b64encode(os.urandom(12)).decode()
        server_first = f'r={nonce},s={base64.b64encode(salt).decode()},i={rounds}'
        final = await server.challenge_auth(server_first)
        if final is MISSING:
            return AuthResult(success=False)
        without_proof, proof = final.decode().rsplit(',p=', 1)
        salted = hashlib.pbkdf2_hmac('sha256', password.encode(), salt, rounds)
        stored = hashlib.sha256(sha(salted, b'Client Key')).digest()
        whole = f'{bare},{server_first},{without_proof}'.encode()
        client_key = bytes(a ^ b for a, b in zip(sha(stored, whole), base64.b64decode(proof)))
        right = hashlib.sha256(client_key).digest() == stored and parts['n'] == user
        if not right or without_proof != f'c=biws,r={nonce}':
            return no('that is not the password')
        await server.challenge_auth(b'v=' + base64.b64encode(sha(sha(salted, b'Server Key'), whole)))
        return said('SCRAM-SHA-256')


def knows(server, session, envelope, mechanism, data):
    if (data.login, data.password) != (user.encode(), password.encode()):
        return AuthResult(success=False, handled=False)
    return said(mechanism)


known = ['LOGIN', 'PLAIN', 'XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-256']


def session():
    others = [mechanism for mechanism in known if mechanism not in offered]
    return SMTP(Host(), tls_context=context, authenticator=knows, auth_required=bool(offered),
                auth_exclude_mechanism=others)


async def main():
    server = await asyncio.get_running_loop().create_server(session, host, int(port))
    await server.serve_forever()


asyncio.run(main())
