import { FLAG, type HostileBench, type KindName, mint } from './hostile-tokens.ts';

/** Where a token can be shown. `proof` is the DPoP header beside a token that is bound to a key. */
export type PlaceName =
  | 'control'
  | 'control_dpop'
  | 'proof'
  | 'flags'
  | 'flags_dpop'
  | 'flags_key'
  | 'subject'
  | 'sponsor'
  | 'actor'
  | 'introspect'
  | 'introspect_caller'
  | 'revoke'
  | 'logout';

/** One place: the kind of token that belongs there, and how one is shown. */
interface Place {
  base: KindName;
  show(bench: HostileBench, token: string): Promise<Response>;
}

const REQUESTS_PATH = '/v1/requests';
const FLAGS_PATH = '/ofrep/v1/evaluate/flags';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const PROPOSAL = JSON.stringify({
  environment: 'production',
  changes: [{ action: 'enable', flag: FLAG }],
  reason: 'a test',
});

/** All places. */
export const PLACES: Readonly<Record<PlaceName, Place>> = {
  control: { base: 'id_token', show: (b, token) => propose(b, { authorization: `Bearer ${token}` }) },
  control_dpop: {
    base: 'bound',
    show: async (b, token) => propose(b, await withProof(b, token)),
  },
  proof: {
    base: 'bound',
    show: (b, proof) => propose(b, { authorization: `DPoP ${mint(b.kinds.bound)}`, dpop: proof }),
  },
  flags: { base: 'data', show: (b, token) => readFlags(b, { authorization: `Bearer ${token}` }) },
  flags_dpop: {
    base: 'bound_data',
    show: async (b, token) => readFlags(b, await withProof(b, token, FLAGS_PATH)),
  },
  flags_key: { base: 'data', show: (b, token) => readFlags(b, { 'x-api-key': token }) },
  subject: {
    base: 'platform',
    show: (b, token) => exchange(b, { subject_token: token, subject_token_type: JWT }),
  },
  sponsor: {
    base: 'sponsor',
    show: (b, token) => exchange(b, agentForm(token, mint(b.kinds.agent_job))),
  },
  actor: {
    base: 'agent_job',
    show: (b, token) => exchange(b, agentForm(mint(b.kinds.delegation), token)),
  },
  introspect: {
    base: 'issued',
    show: async (b, token) => {
      const authorization = `Bearer ${mint(b.kinds.id_token)}`;
      return postForm(b, '/oauth/introspect', { token }, { authorization });
    },
  },
  introspect_caller: {
    base: 'id_token',
    show: (b, token) => postForm(b, '/oauth/introspect', { token }, { authorization: `Bearer ${token}` }),
  },
  revoke: { base: 'issued', show: (b, token) => postForm(b, '/oauth/revoke', { token }) },
  logout: {
    base: 'logout_token',
    show: (b, token) => postForm(b, '/auth/backchannel-logout', { logout_token: token }),
  },
};

/** An answer without what differs from one to the next anyway: the time, and the ids of requests. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** Reads the whole answer. */
export async function answerOf(response: Response): Promise<Answer> {
  const { date: _, ...headers } = Object.fromEntries(response.headers);
  return JSON.parse(
    JSON.stringify({ status: response.status, headers, text: await response.text() }).replaceAll(
      /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g,
      '<id>',
    ),
  );
}

/** A call with a bound token, and the proof that belongs to it. */
export async function withProof(
  { t, proofKey }: HostileBench,
  token: string,
  path = REQUESTS_PATH,
): Promise<Record<string, string>> {
  const about = { method: 'POST', url: `${t.url}${path}`, token };
  return { authorization: `DPoP ${token}`, dpop: await proofKey.proof(about) };
}

/** Proposes with these headers. */
export function propose({ t }: HostileBench, headers: Record<string, string>): Promise<Response> {
  return fetch(`${t.url}${REQUESTS_PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: PROPOSAL,
  });
}

/** Asks for all flags with these headers. */
export function readFlags({ t }: HostileBench, headers: Record<string, string>): Promise<Response> {
  return fetch(`${t.url}${FLAGS_PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ context: {} }),
  });
}

function exchange(bench: HostileBench, form: Record<string, string>): Promise<Response> {
  const grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange';
  return postForm(bench, '/oauth/token', { grant_type, ...form });
}

function agentForm(subject: string, actor: string): Record<string, string> {
  return {
    subject_token: subject,
    subject_token_type: JWT,
    actor_token: actor,
    actor_token_type: JWT,
  };
}

function postForm(
  { t }: HostileBench,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${t.url}${path}`, { method: 'POST', headers, body: new URLSearchParams(form) });
}
