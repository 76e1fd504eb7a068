/*
 * What the common identity providers of people need to be told, and what their tokens have. docs/identity.md has the same
 * as a table, with what to register at each.
 */

/** What a set-up has to know of an identity provider. */
export interface Provider {
  /** Its name for people. */
  name: string;
  /** Whether an issuer is one of its own. */
  issues(issuer: URL): boolean;
  /** The form of its `iss`: the text at the end that people leave out or add. */
  ending?: { wrong: RegExp; right: string };
  /** The scope that a sign-in asks for, so that it can be renewed; absent: `openid`. */
  scope?(issuer: URL): string;
  /** The port of the redirect URI, for providers that compare it. */
  redirectPort?: number;
  /** The claim that identifies a human, where `sub` is another one at each client. */
  person?: string;
  /** The claim by which roles are bound, where tokens have no groups. */
  bindBy?: string;
  /** Where its keys are, for a provider that has them at another host. */
  jwksUri?: string;
  /** What is special, for the person who sets it up. */
  advice: readonly string[];
}

const endsWith =
  (...domains: readonly string[]) =>
  ({ hostname }: URL) =>
    domains.some((domain) => hostname === domain || hostname.endsWith(`.${domain}`));

/** The only port that is registered, where any port would not do. */
const REGISTERED_PORT = 17_171;
const REGISTER_PORT = `Register http://127.0.0.1:${REGISTERED_PORT}/cb: this provider compares the port.`;

/** By the word that names each. */
export const PROVIDERS = {
  okta: {
    name: 'Okta',
    issues: endsWith('okta.com', 'oktapreview.com', 'okta-emea.com', 'okta-gov.com', 'okta.mil'),
    // An authorization server of one's own knows no scope `groups`; the organization's has the groups for that scope only.
    scope: ({ pathname }) =>
      pathname.startsWith('/oauth2/') ? 'openid offline_access' : 'openid groups offline_access',
    redirectPort: REGISTERED_PORT,
    advice: [
      REGISTER_PORT,
      'Its tokens have groups only with a groups claim (Sign On, or the authorization server).',
    ],
  },
  entra: {
    name: 'Entra ID',
    issues: endsWith(
      'login.microsoftonline.com',
      'login.microsoftonline.us',
      'login.partner.microsoftonline.cn',
      'sts.windows.net',
    ),
    // Without `profile` there is no `oid`.
    scope: () => 'openid profile offline_access',
    person: 'oid',
    advice: [
      'Its tokens have the ids of groups, not their names: give those with --group.',
      'Its tokens have groups and auth_time only if Token configuration adds them.',
    ],
  },
  google: {
    name: 'Google',
    issues: endsWith('accounts.google.com'),
    ending: { wrong: /\/$/, right: '' },
    scope: () => 'openid email',
    bindBy: 'email',
    jwksUri: 'https://www.googleapis.com/oauth2/v3/certs',
    advice: [
      'Its tokens have no groups: each role is bound to addresses. Choose Internal as the audience of the consent screen, so that nobody from elsewhere has such an address.',
      'A sign-in lasts an hour: its refresh tokens do not change, so the command line does not use them.',
      'It gives desktop apps a client secret, which protects nothing: --client-secret, or login.client_secret.',
    ],
  },
  keycloak: {
    name: 'Keycloak',
    issues: ({ pathname }) => /^(?:\/auth)?\/realms\/[^/]+$/.test(pathname),
    // `openid` alone renews within the session; `offline_access` would outlive a sign-out.
    advice: [
      'Its tokens have groups only with a Group Membership mapper, without the full path, in the ID token.',
    ],
  },
  dex: {
    name: 'Dex',
    issues: ({ hostname, pathname }) => hostname.startsWith('dex.') || pathname === '/dex',
    scope: () => 'openid groups offline_access',
    advice: ['Its tokens have groups only from connectors that know them, and no auth_time.'],
  },
  auth0: {
    name: 'Auth0',
    issues: endsWith('auth0.com'),
    ending: { wrong: /(?<!\/)$/, right: '/' },
    scope: () => 'openid offline_access',
    redirectPort: REGISTERED_PORT,
    advice: [
      REGISTER_PORT,
      'Its tokens have groups only if an Action adds them, as a claim with a URL as its name: --groups-claim.',
    ],
  },
  other: {
    name: 'another provider',
    issues: () => false,
    advice: [
      'Where the provider gives refresh tokens only for that, set login: {client_id, scope: openid offline_access}: then a sign-in lasts a working day.',
    ],
  },
} as const satisfies Readonly<Record<string, Provider>>;

/** A word that names a provider. */
export type ProviderKey = keyof typeof PROVIDERS;

/** The provider of an issuer, by its address. */
export function recognizeProvider(issuer: string): ProviderKey {
  const url = new URL(issuer);
  const known = Object.entries<Provider>(PROVIDERS).find(([, { issues }]) => issues(url));
  return (known?.[0] ?? 'other') as ProviderKey;
}

/** The `iss` as the provider writes it. */
export function issuerAt({ ending }: Provider, issuer: string): string {
  return ending === undefined ? issuer : issuer.replace(ending.wrong, ending.right);
}
