import type { Clock } from '../clock.ts';
import type { ControlDeps } from '../decide/control.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { IssuerConfig } from '../issuers/issuers.ts';
import type { Logger } from '../logger.ts';
import { createProviders, type Providers } from './providers.ts';
import { createSessions, type Sessions, type SessionsDeps } from './sessions.ts';
import { createSignIn, type SignIn } from './sign-in.ts';

/** The sign-in and the sessions of people in browsers. */
export interface People {
  providers: Providers;
  sessions: Sessions;
  signIn: SignIn;
}

/** Creates browser sign-in and sessions from the configured issuers and session limits. */
export function openPeople(deps: {
  control: ControlDeps;
  issuers: readonly IssuerConfig[];
  limits: SessionsDeps['limits'];
  authenticator: Authenticator;
  limitCalls: (principalId: string) => Promise<void>;
  publicUrl: string;
  clock: Clock;
  log: Logger;
}): People {
  const { control, issuers, limits, authenticator, limitCalls, publicUrl, clock, log } = deps;
  const providers = createProviders({ issuers, fetch, clock, log });
  const sessions = createSessions({ store: control.store, issuers, publicUrl, limits, clock, log });
  const signIn = createSignIn({
    control,
    sessions,
    providers,
    authenticator,
    limitCalls,
    publicUrl,
    clock,
    log,
  });
  return { providers, sessions, signIn };
}
