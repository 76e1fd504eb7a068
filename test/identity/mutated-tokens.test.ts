import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, answerOf, PLACES, type PlaceName, propose } from '../support/hostile-places.ts';
import { type HostileBench, type KindName, mint, startHostileBench } from '../support/hostile-tokens.ts';
import { createEs256Key } from './support.ts';

/*
 * Tokens that were good until somebody changed one character, and floods of tokens that nobody signed.
 */

let bench: HostileBench;

beforeAll(async () => {
  bench = await startHostileBench();
});
afterAll(() => bench.close());

/** A header loses white space around its value on the way, and takes no line break at all. */
const IN_A_HEADER: ReadonlySet<PlaceName> = new Set(['control', 'flags', 'flags_key', 'proof']);

const CHARACTERS = [..."ABYZabyz0189-_.=+/ \t~%,'", '"', '\\'];
const FOR_FORMS = [...CHARACTERS, '\n', '\0', '&', '\u00e9', '\u2028'];

type Mutation = (token: string, at: number, character: string) => string;

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  replace: (token, at, character) => token.slice(0, at) + character + token.slice(at + 1),
  insert: (token, at, character) => token.slice(0, at) + character + token.slice(at),
  append: (token, _at, character) => token + character,
  remove: (token, at) => token.slice(0, at) + token.slice(at + 1),
  change_case: (token, at) => {
    const character = token.charAt(at);
    const other = character === character.toLowerCase() ? character.toUpperCase() : character.toLowerCase();
    return token.slice(0, at) + other + token.slice(at + 1);
  },
  swap: (token, at) => token.slice(0, at) + token.charAt(at + 1) + token.charAt(at) + token.slice(at + 2),
  cut: (token, at) => token.slice(0, at),
  flip_bit: flipBit,
};

/** Flips one bit of what a segment says, and writes the segment as it has to be. */
function flipBit(token: string, at: number): string {
  const segments = token.split('.');
  const segment = at % segments.length;
  const bytes = Buffer.from(segments[segment] ?? '', 'base64url');
  const byte = Math.floor(at / segments.length) % bytes.length;
  bytes[byte] = (bytes[byte] ?? 0) ^ (1 << (at % 8));
  return segments.with(segment, bytes.toString('base64url')).join('.');
}

const mutation = (characters: readonly string[]) =>
  fc.record({
    how: fc.constantFrom(...Object.keys(MUTATIONS)),
    at: fc.nat(5000),
    character: fc.constantFrom(...characters),
  });

describe('a token with one change', () => {
  const CASES: [kind: KindName, at: PlaceName][] = [
    ['id_token', 'control'],
    ['access_token', 'control'],
    ['issued', 'control'],
    ['data', 'flags'],
    ['data', 'flags_key'],
    ['platform', 'subject'],
    ['svid', 'subject'],
    ['sponsor', 'sponsor'],
    ['delegation', 'sponsor'],
    ['agent_job', 'actor'],
    ['issued', 'introspect'],
    ['logout_token', 'logout'],
  ];

  it.each(CASES)('(%s at %s) gets the one answer, whatever the change', async (kind, at) => {
    const token = mint(bench.kinds[kind]);
    const garbage = await answerOf(await PLACES[at].show(bench, 'garbage'));
    await refuseAll(at, token, garbage, (mutant) => PLACES[at].show(bench, mutant));
    // The token itself was good all the time: none of its mutants has used it up.
    const answer = await PLACES[at].show(bench, token);
    expect(answer.ok).toBe(true);
    if (at === 'introspect') expect(await answer.json()).toMatchObject({ active: true });
  });

  it('(a DPoP proof) gets the one answer, whatever the change', async () => {
    const token = mint(bench.kinds.bound);
    const show = (dpop: string) => propose(bench, { authorization: `DPoP ${token}`, dpop });
    const proof = await bench.proofKey.proof({ method: 'POST', url: `${bench.t.url}/v1/requests`, token });
    await refuseAll('proof', proof, await answerOf(await show('garbage')), show);
    expect((await show(proof)).status).toBe(201);
  });

  async function refuseAll(
    at: PlaceName,
    token: string,
    garbage: Answer,
    show: (mutant: string) => Promise<Response>,
  ): Promise<void> {
    expect(garbage.status).toBeLessThan(500);
    const inHeader = IN_A_HEADER.has(at);
    await fc.assert(
      fc.asyncProperty(mutation(inHeader ? CHARACTERS : FOR_FORMS), async ({ how, at: where, character }) => {
        const mutant = MUTATIONS[how]?.(token, where % token.length, character) ?? '';
        const arrives = inHeader ? mutant.trim() : mutant;
        fc.pre(arrives !== token && arrives !== '');
        expect(await answerOf(await show(mutant))).toEqual(garbage);
      }),
      { numRuns: 150 },
    );
  }
});

describe('a flood of tokens with unknown keys', () => {
  it('makes the broker ask the issuer once, and keeps nobody out', async () => {
    // Reads the keys, and lets the time pass in which they are not read again.
    expect((await PLACES.control.show(bench, mint(bench.kinds.id_token))).status).toBe(201);
    bench.t.clock.advance(31_000);
    const before = bench.people.server.requests();
    const stranger = createEs256Key('stranger');
    const places = ['control', 'sponsor', 'introspect_caller', 'logout'] as const;
    const flood = Array.from({ length: 1000 }, (_each, n) => ({ at: places[n % 4] ?? 'control', n }));
    for (let done = 0; done < flood.length; done += 50) {
      const answers = flood.slice(done, done + 50).map(async ({ at, n }) => {
        const kind = bench.kinds[PLACES[at].base];
        const { status } = await PLACES[at].show(bench, mint(kind, {}, { kid: `unknown-${n}` }, stranger));
        return status;
      });
      expect(new Set(await Promise.all(answers))).toEqual(new Set([400, 401]));
      expect((await PLACES.control.show(bench, mint(bench.kinds.id_token))).status).toBe(201);
    }
    expect(bench.people.server.requests()).toBe(before + 1);
  });

  it('of issuers that nobody trusts asks none of them', async () => {
    for (let n = 0; n < 50; n += 1) {
      const iss = `${bench.canary.origin}/tenant-${n}`;
      const at = (['control', 'subject', 'flags', 'logout'] as const)[n % 4] ?? 'control';
      await PLACES[at].show(bench, mint(bench.kinds[PLACES[at].base], { iss, jwks_uri: iss }));
    }
    expect(bench.canary.requests()).toBe(0);
  });
});
