import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SNAPSHOT_FAULTS } from '../../src/snapshot/fault.ts';
import { formatLatest, MAX_LATEST_BYTES } from '../../src/snapshot/latest.ts';
import { signPointer } from '../../src/snapshot/pointer.ts';
import { claimsOf, latestOf, leafOf, NOW_MS, newSigner, proofOf } from '../support/forged-snapshots.ts';
import { readAt, until } from '../support/relay.ts';
import { forgedVersion, publish } from '../support/relay-source.ts';
import { relayStage } from './stage.ts';

/* Whatever lies at the source, a relay serves what it verified last, and says why nothing newer. */

const signer = newSigner();
const { stage, production, codes, valueNow } = relayStage(signer);

const FIVE = forgedVersion(signer, 5);
const SIX = forgedVersion(signer, 6);
const other = newSigner();

/** Each kind of bad file: what lies at the source after version 5, and what `/status` says of it. */
const BAD: Record<string, [code: string, place: () => void]> = {
  'an error page with status 200': [
    'not_a_snapshot',
    () =>
      stage.source.answers.set(
        'production/latest.json',
        Buffer.from('<!doctype html><title>Sign in</title>'),
      ),
  ],
  'a pointer of some megabytes': [
    'too_large',
    () => stage.source.answers.set('production/latest.json', Buffer.alloc(MAX_LATEST_BYTES + 1, ' ')),
  ],
  'half a pointer': [
    'not_a_snapshot',
    () => stage.source.answers.set('production/latest.json', SIX.latest.subarray(0, 300)),
  ],
  'a pointer by a key that nobody gave': [
    'unknown_key',
    () => publish(stage.source, forgedVersion(other, 6)),
  ],
  'a pointer of another environment': [
    'other_environment',
    () => publish(stage.source, forgedVersion(signer, 6, { environment: 'staging' })),
  ],
  'a pointer of the log after a restore': [
    'other_epoch',
    () => publish(stage.source, forgedVersion(newSigner('flags.example/log/2'), 6)),
  ],
  'an earlier version, signed again': ['stepped_back', () => publish(stage.source, forgedVersion(signer, 4))],
  'another body of the same version': [
    'forked',
    () => publish(stage.source, forgedVersion(signer, 5, { digest: SIX.digest })),
  ],
  'a pointer that has expired': [
    'expired',
    () => publish(stage.source, forgedVersion(signer, 6, { exp: NOW_MS / 1000 })),
  ],
  'a pointer of tomorrow': [
    'not_yet_valid',
    () => publish(stage.source, forgedVersion(signer, 6, { iat: NOW_MS / 1000 + 86_400 })),
  ],
  'a pointer whose proof is by another key': [
    'unproven',
    () => {
      const claims = claimsOf({ version: 6 });
      const latest = formatLatest([signPointer(claims, signer)], proofOf(other, leafOf(claims)));
      stage.source.answers.set('production/latest.json', Buffer.from(latest));
    },
  ],
  'a pointer with the proof of another record': [
    'proof_other',
    () => {
      const [six, seven] = [claimsOf({ version: 6 }), claimsOf({ version: 7 })];
      const latest = formatLatest([signPointer(six, signer)], proofOf(signer, leafOf(seven)));
      stage.source.answers.set('production/latest.json', Buffer.from(latest));
    },
  ],
  'a changed pointer': [
    'signature_invalid',
    () => {
      const text = SIX.latest.toString();
      const [, head = '', payload = ''] = /"pointers":\["([^.]+)\.([^.]+)\./.exec(text) ?? [];
      const changed = Buffer.from(
        Buffer.from(payload, 'base64url').toString().replace('"version":6', '"version":9'),
      ).toString('base64url');
      stage.source.answers.set(
        'production/latest.json',
        Buffer.from(text.replace(`${head}.${payload}`, `${head}.${changed}`)),
      );
    },
  ],
  'a body that is not there': [
    'body_missing',
    () => stage.source.answers.set('production/latest.json', SIX.latest),
  ],
  'half a body': [
    'body_other',
    () => {
      publish(stage.source, SIX);
      stage.source.answers.set(`production/${SIX.file}`, SIX.body.subarray(0, 100));
    },
  ],
  'a body that is announced as too large': [
    'too_large',
    () => {
      publish(stage.source, SIX);
      stage.source.answers.set(`production/${SIX.file}`, (_, res) => {
        res.writeHead(200, { 'content-length': 10_000_000_000 });
        res.write('{');
      });
    },
  ],
  'a body without an end': [
    'source_slow',
    () => {
      publish(stage.source, SIX);
      stage.source.answers.set(`production/${SIX.file}`, (_, res) => {
        const chunk = Buffer.alloc(1024 * 1024, ' ');
        const more = () => {
          while (!res.destroyed && res.write(chunk));
          if (!res.destroyed) res.once('drain', more);
        };
        more();
      });
    },
  ],
  'a body that was signed and cannot be understood': [
    'malformed',
    () => {
      const body = Buffer.from('{"environment":"production","version":6}');
      const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
      stage.source.answers.set('production/latest.json', latestOf(signer, claimsOf({ version: 6, digest })));
      stage.source.answers.set(`production/6-${digest.slice('sha256:'.length)}.json`, body);
    },
  ],
  'a pointer that trickles': [
    'source_slow',
    () =>
      stage.source.answers.set('production/latest.json', (_, res) => {
        const timer = setInterval(() => res.write(' '), 20);
        res.on('close', () => clearInterval(timer));
      }),
  ],
  'an answer that never begins': [
    'source_slow',
    () => stage.source.answers.set('production/latest.json', () => undefined),
  ],
  'a redirect': [
    'unreachable',
    () =>
      stage.source.answers.set('production/latest.json', (_, res) => {
        res.writeHead(302, { location: 'https://example.com' }).end();
      }),
  ],
  'an answer that is cut': [
    'unreachable',
    () =>
      stage.source.answers.set('production/latest.json', (_, res) => {
        res.writeHead(200, { 'content-length': 1000 });
        res.write('{');
        setImmediate(() => res.destroy());
      }),
  ],
  'a refusal': [
    'source_refused',
    () =>
      stage.source.answers.set('production/latest.json', (_, res) => {
        res.writeHead(403).end();
      }),
  ],
  'a failure': [
    'source_busy',
    () =>
      stage.source.answers.set('production/latest.json', (_, res) => {
        res.writeHead(500).end();
      }),
  ],
  nothing: ['not_published', () => stage.source.answers.clear()],
};

describe('in place of a snapshot', () => {
  it.each(Object.entries(BAD))('%s is refused, and the last good one served', async (_, [code, place]) => {
    publish(stage.source, FIVE);
    await stage.start();
    await until(production, ({ version }) => version === 5);
    place();
    await until(codes, (present) => present.includes(code as never));
    expect(production()).toMatchObject({ version: 5, digest: FIVE.digest, state: 'fresh' });
    expect(production().last_fault).toMatchObject({ code, detail: expect.stringMatching(/ [A-Z].+\.$/s) });
    expect(await valueNow()).toBe('version 5');
    // The place is corrected, and nobody has to do anything.
    stage.source.answers.clear();
    publish(stage.source, SIX);
    await until(production, ({ version, faults }) => version === 6 && faults.length === 0);
    expect(await valueNow()).toBe('version 6');
    const metrics = await (await fetch(`${stage.relay.url}/metrics`)).text();
    expect(metrics).toContain(`countersign_relay_faults_total{environment="production",code="${code}"}`);
  });

  it('every fault of a snapshot is tried', () => {
    const tried = Object.values(BAD).map(([code]) => code);
    expect(Object.keys(SNAPSHOT_FAULTS).filter((code) => !tried.includes(code))).toEqual([]);
  });
});

describe('a body of thousands of flags', () => {
  const many = Object.fromEntries(
    Array.from({ length: 1000 }, (_, place) => [`flag-${place}`, 'release' as const]),
  );

  it('is verified aside, and a bad one refused there', async () => {
    publish(stage.source, forgedVersion(signer, 5, {}, many));
    await stage.start();
    await until(production, ({ version }) => version === 5);
    expect(await valueNow('flag-999')).toBe('version 5');
    const six = forgedVersion(signer, 6, {}, many);
    publish(stage.source, six);
    stage.source.answers.set(
      `production/${six.file}`,
      Buffer.from(six.body.toString().replace('safe', 'sofa')),
    );
    await until(codes, (present) => present.includes('body_other'));
    expect(await valueNow('flag-999')).toBe('version 5');
    publish(stage.source, six);
    await until(production, ({ version, faults }) => version === 6 && faults.length === 0);
    expect(await valueNow('flag-999')).toBe('version 6');
  });
});

describe('what is asked of a relay', () => {
  it('is bounded: a context of a megabyte is refused, and reads go on', async () => {
    publish(stage.source, FIVE);
    await stage.start();
    await until(production, ({ version }) => version === 5);
    const huge = await readAt(stage.relay, 'colour', { text: 'x'.repeat(1024 * 1024) });
    expect([huge.status, huge.body.errorCode]).toEqual([413, 'GENERAL']);
    const strange = await readAt(stage.relay, 'colour', { organization: 'ørsted', targetingKey: '🦆' });
    expect(strange.body.value).toBe('version 5');
    expect(await valueNow()).toBe('version 5');
  });

  it('tells nobody of a flag: neither status nor metrics name one', async () => {
    publish(stage.source, FIVE);
    await stage.start();
    await until(production, ({ version }) => version === 5);
    await readAt(stage.relay, 'colour');
    const texts = await Promise.all(
      ['/status', '/metrics', '/readyz', '/healthz'].map(async (path) =>
        (await fetch(stage.relay.url + path)).text(),
      ),
    );
    expect(texts.join()).not.toContain('colour');
    expect(texts[1]).toContain('countersign_relay_evaluations_total{reason="STATIC"} 1');
    expect(texts[1]).toContain('countersign_relay_snapshot_version{environment="production"} 5');
  });

  it('elsewhere is 404 or 405, and another host is refused', async () => {
    publish(stage.source, FIVE);
    await stage.start();
    const statuses = await Promise.all([
      fetch(`${stage.relay.url}/v1/flags`).then(({ status }) => status),
      fetch(`${stage.relay.url}/status`, { method: 'POST' }).then(({ status }) => status),
      fetch(`${stage.relay.url}/ofrep/v1/configuration`).then(({ status }) => status),
    ]);
    expect(statuses).toEqual([404, 405, 404]);
  });
});
