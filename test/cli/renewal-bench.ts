import { afterAll, afterEach, beforeEach, expect, vi } from 'vitest';
import {
  type IdentityProvider,
  type ProviderOptions,
  startIdentityProvider,
} from '../../fixtures/identity/provider.ts';
import { type Credentials, createCredentials, type KeptSignIn } from '../../src/cli/auth/credentials.ts';
import type { Io } from '../../src/cli/io.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { bindGroupsOf, issuerOf, signsIn } from './sign-in-support.ts';
import { createTerminal, type Terminal } from './support.ts';

export const HOUR_MS = 3_600_000;
export const MINUTE_MS = 60_000;

export let provider: IdentityProvider;
export let t: TestBroker;
const opened: { close(): Promise<void> }[] = [];

/** A broker and a provider, both on the time that the test sets. */
export async function open(
  options: ProviderOptions = {},
  { editData = (data: unknown) => data, issuer = {} as Record<string, unknown> } = {},
): Promise<void> {
  provider = await startIdentityProvider(options);
  t = await startTestBroker({
    nowMs: Date.now(),
    config: ({ issuers }) => ({
      issuers: [{ ...issuerOf(provider, 'idp'), ...issuer }, ...(issuers as object[])],
    }),
    editData: (data) => editData(withLimit(bindGroupsOf(data, provider.issuer))),
  });
  opened.push(t, provider);
}

/** The shipped policy with a limit of twelve hours for sign-ins. */
function withLimit(data: unknown): unknown {
  const edited = structuredClone(data) as { config: { token_lifetimes: { sign_in?: number } } };
  edited.config.token_lifetimes.sign_in = 12 * 3600;
  return edited;
}

/** Each test of the file begins at the same time, and ends what it opened. */
export function onFakeTime(): void {
  // The provider and its client know no other clock than the machine's.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 10, 18, 9, 0) });
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close().catch(() => undefined);
    vi.useRealTimers();
  });
  afterAll(() => vi.useRealTimers());
}

/** Lets time pass for everybody. */
export function wait(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
  t.clock.set(Date.now());
}

/** A terminal where the person has signed in. */
export async function signedIn(person: string, io: Partial<Io> = {}, ...words: string[]): Promise<Terminal> {
  const { home, run } = createTerminal(t, signsIn({ person }));
  const login = await run('login', '--issuer', 'idp', '--json', ...words);
  expect([login.code, login.json?.sub]).toEqual([0, person]);
  return createTerminal(t, { ...io, home });
}

export const credentialsOf = ({ home }: Pick<Terminal, 'home'>): Credentials =>
  createCredentials({ env: {}, home });

/** The sign-in that is stored there. */
export async function keptBy(terminal: Pick<Terminal, 'home'>): Promise<KeptSignIn> {
  const { sign_in } = await credentialsOf(terminal).load(t.url);
  if (sign_in === undefined) throw new Error('nothing is stored');
  return sign_in;
}
