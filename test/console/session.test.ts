import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, HAS_BROWSER, signInAsked, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, newFlag, proposeAsDana } from './content.ts';

/* An open page whose person changes, or that loses the broker. */

describe.skipIf(!HAS_BROWSER)('an open page', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('checkout.new')]);
  });
  afterAll(() => b?.close());

  const look = ({ page }: Visitor) =>
    page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));

  it('keeps nothing that one person read or typed when another signs in beside it', async () => {
    const alex = await b.visit('alex', { path: '/access' });
    const { page, context } = alex;
    await page.getByText('emp-1002').first().waitFor();
    await page.getByRole('link', { name: 'Propose', exact: true }).click();
    await page.getByLabel('Reason').fill('Typed by alex.');
    const other = await context.newPage();
    await context.clearCookies();
    await other.goto(`${b.t.url}/auth/sign-in?${new URLSearchParams({ issuer: 'web', return_to: '/' })}`);
    await signInAsked(other, 'sam');
    await other.getByRole('navigation', { name: 'Pages' }).waitFor();
    await other.close();
    // What sam's own answers say is not asked for: all that is seen then was read by alex.
    await page.route('**/v1/access*', () => undefined);
    await look(alex);
    await page.getByTitle('Your account and sessions, and signing out').getByText('emp-1003').waitFor();
    await page.getByLabel('Reason').waitFor();
    expect(await page.getByLabel('Reason').inputValue()).toBe('');
    await page.getByLabel('Ticket').fill('SAM-1');
    expect(JSON.stringify(await page.evaluate(() => ({ ...sessionStorage })))).not.toContain('alex');
    await page.getByRole('link', { name: 'Access', exact: true }).click();
    await page.getByRole('heading', { name: 'Access' }).waitFor();
    expect(await page.locator('main').getByText('emp-1002').count()).toBe(0);
  });

  it('shows what waits beyond a page of the inbox that has nothing', async () => {
    const { id } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.new' }]);
    const { page, open } = await b.visit('alex', { path: '/flags' });
    // As the broker answers when the oldest two hundred are frozen.
    await page.route(/\/v1\/inbox\?part=approve/, async (route) => {
      const address = new URL(route.request().url());
      if (address.searchParams.get('cursor') === 'second') {
        address.searchParams.delete('cursor');
        return route.continue({ url: address.href });
      }
      await route.fulfill({ json: { items: [], next_cursor: 'second' } });
    });
    await open('/');
    const waiting = page.getByRole('region', { name: 'Waiting for you' });
    await waiting.getByRole('link', { name: /checkout\.new/ }).waitFor();
    // If there is no end, it is not said that nothing waits.
    await page.route(/\/v1\/inbox\?part=approve/, (route) =>
      route.fulfill({ json: { items: [], next_cursor: 'second' } }),
    );
    await open('/');
    await waiting.getByText('None of the oldest requests waits for you. Newer ones may.').waitFor();
    await b.t.call('dana', 'POST', `/v1/requests/${id}/withdraw`);
  });

  it('forgets drafts of another version, and those that nobody can read', async () => {
    const { page, open, complaints } = await b.visit('alex');
    await page.evaluate(() => {
      const draft = (key: string, text: string) => sessionStorage.setItem(`countersign.draft${key}`, text);
      draft(' ["emp-1002","proposal "]', '{"changes":7}');
      draft('.2 ["emp-1002","proposal "]', '{');
      draft('.2 [', '1');
    });
    await open('/propose');
    await page.getByRole('form', { name: 'Proposal' }).waitFor();
    expect(
      await page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.includes('draft'))),
    ).toEqual(['countersign.draft.2 ["emp-1002","proposal "]']);
    expect(complaints).toEqual([]);
  });

  it('keeps the users who see a flag by exception, and each flag its own form', async () => {
    const exception = { reason: 'A trial.', until_ms: Date.now() + 86_400_000 };
    await applyAsDana(b.t, [
      {
        action: 'set_audience',
        flag: 'checkout.new',
        audience: { kind: 'some', organizations: [], users: [{ id: 'u-1', exception }] },
      },
    ]);
    const { page, context } = await b.visit('dana', {
      path: '/propose?flag=checkout.new&environment=production',
    });
    await page.getByLabel('What', { exact: true }).selectOption('Choose who sees it');
    await page.getByText('1 user by exception will still see it.').waitFor();
    await page.getByLabel('Organizations').fill('acme');
    await page.getByLabel('Reason').fill('Acme joins.');
    // The answer to the first try is lost, and the page is loaded again: it is proposed once.
    const keys: (string | undefined)[] = [];
    await page.route('**/v1/requests', async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      keys.push(route.request().headers()['idempotency-key']);
      if (keys.length > 1) return route.continue();
      await route.fetch();
      await route.abort();
    });
    await page.getByRole('button', { name: 'Propose', exact: true }).click();
    await page.getByText(/The broker did not answer/).waitFor();
    await page.reload();
    await page.getByText('1 user by exception will still see it.').waitFor();
    await page.getByRole('button', { name: 'Propose', exact: true }).click();
    await page.getByRole('heading', { name: /^Request/ }).waitFor();
    expect(keys).toEqual([keys[0], keys[0]]);
    const id = new URL(page.url()).pathname.split('/').at(-1);
    const { items } = (await b.t.call('dana', 'GET', '/v1/inbox?part=own')).body;
    expect(items.map(({ request }: { request: { id: string } }) => request.id)).toEqual([id]);
    expect((await b.t.call('dana', 'GET', `/v1/requests/${id}`)).body.changes).toMatchObject([
      { after: { audience: { kind: 'some', organizations: ['acme'], users: [{ id: 'u-1', exception }] } } },
    ]);

    await page.getByLabel('Your comment').fill('Said once.');
    let isFirst = true;
    await page.route('**/comments', async (route) => {
      if (route.request().method() !== 'POST' || !isFirst) return route.continue();
      isFirst = false;
      await route.fetch();
      await route.abort();
    });
    await page.getByRole('button', { name: 'Comment', exact: true }).click();
    await page.getByText(/The broker did not answer/).waitFor();
    await page.getByRole('button', { name: 'Comment', exact: true }).click();
    await page.getByRole('listitem').getByText('Said once.').first().waitFor();
    const comments = (await b.t.call('dana', 'GET', `/v1/requests/${id}/comments`)).body.items;
    expect(comments).toHaveLength(1);
    await b.t.call('dana', 'POST', `/v1/requests/${id}/withdraw`);

    await page.goto(`${b.t.url}/propose?flag=checkout.new`);
    await page.getByLabel('Reason').fill('About the first.');
    await page.evaluate(() => history.pushState(null, '', '/propose?flag=checkout.other'));
    await page.waitForFunction(
      () =>
        document.querySelector<HTMLInputElement>('[name=flag], fieldset input')?.value === 'checkout.other',
    );
    expect(await page.getByLabel('Reason').inputValue()).toBe('');
    await context.close();
  });

  it('sends nothing later that could not be sent now', async () => {
    const { id } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.new' }]);
    const { page, context } = await b.visit('alex', { path: `/requests/${id}?act=approve` });
    const approve = page.getByRole('dialog').getByRole('button', { name: /^Approve/ });
    await approve.waitFor();
    await context.setOffline(true);
    await approve.click();
    await page
      .getByRole('dialog')
      .getByText(/The broker did not answer/)
      .waitFor();
    const again = page.waitForResponse((answer) => answer.url().endsWith(`/v1/requests/${id}`));
    await context.setOffline(false);
    await again;
    expect((await b.t.call('dana', 'GET', `/v1/requests/${id}`)).body).toMatchObject({
      state: 'pending',
      approvals: [],
    });
  });

  it('says that something is frozen, also where the list of freezes fails', async () => {
    const { page } = await b.visit('alex', { path: '/flags' });
    const freeze = { scope: 'environment', environment: 'production', incident: 'INC-9', reason: 'Errors.' };
    const { status } = await b.t.call('riley+mfa', 'POST', '/v1/freezes', freeze);
    expect(status).toBe(201);
    await page.getByRole('status').getByText('Frozen: production.').waitFor();
    await page.route('**/v1/freezes*', (route) => route.fulfill({ status: 500, json: {} }));
    await page.reload();
    await page
      .getByRole('region', { name: 'Active freezes' })
      .getByText('Something is frozen.', { exact: true })
      .waitFor();
  });
});
