import type { Reply, TestBroker } from '../support/broker.ts';

/** Posts a form to an OAuth endpoint, with a bearer token or without one. */
export async function postForm(
  t: Pick<TestBroker, 'url'>,
  path: string,
  form: Record<string, string> | string,
  token: string | null = null,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(`${t.url}${path}`, {
    method: 'POST',
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    body: new URLSearchParams(form),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === '' ? null : JSON.parse(text),
    headers: response.headers,
  };
}
