import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createClientAddress, type ProxyTrust } from '../../src/http/client-address.ts';

const TRUSTED = ['10.0.0.0/8', '192.0.2.1', '2001:db8:ffff::/48', '::ffff:172.16.0.0/108'];

/** Whose address a request comes from, by what the last proxy or the client itself sent. */
function clientOf(header: ProxyTrust['header'], sent: string | undefined, peer = '10.0.0.1'): string {
  const headers = sent === undefined ? {} : { [header.toLowerCase()]: sent };
  const req = { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage;
  return createClientAddress({ trusted: TRUSTED, header })(req);
}

describe('the address of a client in X-Forwarded-For', () => {
  it.each([
    ['198.51.100.1', '198.51.100.1'],
    ['198.51.103.1:5000', '198.51.103.1'],
    ['198.51.103.1:5001', '198.51.103.1'],
    ['::ffff:198.51.100.1', '198.51.100.1'],
    ['[::ffff:198.51.100.1]:5000', '198.51.100.1'],
    ['::ffff:c633:6401', '198.51.100.1'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:5000', '2001:db8::1'],
    ['"[2001:db8::1]:5000"', '2001:db8::1'],
    // Not a port: the last group of an address.
    ['2001:db8:1:2::3:4', '2001:db8:1:2::3:4'],
    ['198.51.100.1:_port', '198.51.100.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['203.0.113.9, 198.51.100.1', '198.51.100.1'],
    ['198.51.100.1, 10.0.0.2', '198.51.100.1'],
    ['198.51.100.1,10.0.0.2:5000 , [::ffff:10.0.0.3]:1, [2001:db8:ffff::9]:443, 172.16.3.4', '198.51.100.1'],
    ['203.0.113.9, 198.51.100.1:1, 192.0.2.1:2', '198.51.100.1'],
    ['10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ])('%s is %s', (sent, client) => {
    expect(clientOf('X-Forwarded-For', sent)).toBe(client);
  });

  it.each([
    'unknown',
    '_hidden',
    '203.0.113.9, unknown',
    '203.0.113.9, _gazonk:80',
    '',
    ' ',
    'x, ,',
    '999.1.1.1',
  ])('%j names none, so the proxy counts', (sent) => {
    expect(clientOf('X-Forwarded-For', sent)).toBe('10.0.0.1');
  });

  it('is not believed from anybody else', () => {
    for (const peer of ['198.51.100.7', '::ffff:198.51.100.7', '192.0.2.2', '2001:db8:fffe::1']) {
      expect(clientOf('X-Forwarded-For', '203.0.113.9', peer)).toBe(peer.replace('::ffff:', ''));
    }
    expect(clientOf('X-Forwarded-For', '203.0.113.9', '::ffff:10.0.0.9')).toBe('203.0.113.9');
    expect(clientOf('X-Forwarded-For', undefined)).toBe('10.0.0.1');
  });
});

describe('the address of a client in Forwarded (RFC 7239)', () => {
  it.each([
    ['for=198.51.100.1', '198.51.100.1'],
    ['For="198.51.100.1:5000";proto=http;by=203.0.113.43', '198.51.100.1'],
    ['proto=https; FOR="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for="[::ffff:198.51.100.1]:_x"', '198.51.100.1'],
    ['for=203.0.113.9, for=198.51.100.1;by="a;b,c", for="10.0.0.2:80"', '198.51.100.1'],
    // A quote that the client left open changes nothing about what the proxy added.
    ['for="203.0.113.9, for=198.51.100.1', '198.51.100.1'],
    ['for="203.0.113.9, for="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for=203.0.113.9, for=unknown', '10.0.0.1'],
    ['for=203.0.113.9, for="_gazonk"', '10.0.0.1'],
    ['for=203.0.113.9, proto=https', '10.0.0.1'],
    [`${'for=203.0.113.9,'.repeat(1000)}for=198.51.100.1`, '198.51.100.1'],
  ])('%s is %s', (sent, client) => {
    expect(clientOf('Forwarded', sent)).toBe(client);
  });
});
