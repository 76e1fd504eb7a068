import { createBrowser } from '../../fixtures/identity/browser.ts';
import type { IdentityProvider } from '../../fixtures/identity/provider.ts';
import { approveDevice } from '../../fixtures/identity/sign-in.ts';

/** The configuration of the real provider as an issuer of a broker. */
export function issuerOf({ issuer }: IdentityProvider, key: string): Record<string, unknown> {
  return {
    key,
    issuer,
    allow_insecure_loopback: true,
    audience: ['countersign-cli', 'urn:countersign:api'],
    algorithms: ['ES256'],
    claims: { person: 'employee_id' },
    levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
  };
}

/** Gives the groups of the cast to another issuer as well. */
export function bindGroupsOf(data: unknown, issuer: string): unknown {
  const bundle = structuredClone(data) as { config: { role_bindings: { groups: Record<string, unknown> } } };
  const { groups } = bundle.config.role_bindings;
  const [bindings] = Object.values(groups);
  groups[issuer] = bindings;
  return bundle;
}

/** Somebody at the browser that the command line opens. */
export interface AtBrowser {
  openBrowser(url: URL): void;
  /** Where the first of their visits ended. */
  came: Promise<URL>;
  /** How often a browser was opened. */
  opened(): number;
}

/**
 * A person at the browser: passes the sign-in page with the form and comes back.
 *
 * @param change what becomes of the address on the way, such as at a provider that does not heed a parameter
 */
export function signsIn(
  form: Record<string, string>,
  change: (url: URL) => void = () => undefined,
): AtBrowser {
  const { promise, resolve, reject } = Promise.withResolvers<URL>();
  let opened = 0;
  const visit = async (asked: URL): Promise<void> => {
    const url = new URL(asked);
    change(url);
    const browser = createBrowser();
    const page = await browser.visit(url);
    const end = await browser.visit(page.url, form);
    resolve(end.url);
  };
  return {
    openBrowser: (url) => {
      opened += 1;
      visit(url).catch(reject);
    },
    came: promise,
    opened: () => opened,
  };
}

/** A person with another device: types each code that is printed, and signs in there. */
export function hasDevice(choice: { person: string; mfa?: boolean }): {
  stderr(text: string): void;
  /** How many codes were typed. */
  codes(): number;
} {
  let codes = 0;
  return {
    stderr: (text) => {
      const [, verificationUri, userCode] = /Open (\S+) and enter the code (\S+)/.exec(text) ?? [];
      if (verificationUri === undefined || userCode === undefined) return;
      codes += 1;
      void approveDevice({ verificationUri, userCode, ...choice });
    },
    codes: () => codes,
  };
}
