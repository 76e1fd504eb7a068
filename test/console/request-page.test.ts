import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, HAS_BROWSER, signInAsked, startConsoleBench } from './bench.ts';
import { applyAsDana, newFlag, proposeAsDana } from './content.ts';

/* The page of a request lets nobody decide about what they have not read, or about what it cannot read any more. */

describe.skipIf(!HAS_BROWSER)('the page of a request', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('checkout.new')]);
  });
  afterAll(() => b?.close());

  const propose = () => proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.new' }]);
  const short = (digest: string) => `${digest.slice(7, 11)} ${digest.slice(11, 15)}`;

  it('decides nothing while it cannot be read again, and shows nothing once it may not be read', async () => {
    const { id } = await propose();
    const { page } = await b.visit('alex', { path: `/requests/${id}` });
    const bar = page.getByRole('region', { name: 'Decide' });
    await bar.getByRole('button', { name: /^Approve/ }).waitFor();
    const answerWith = async (status: number, code: string) => {
      await page.unroute('**/v1/requests/*');
      await page.route('**/v1/requests/*', (route) =>
        route.fulfill({ status, json: { status, code, detail: `The answer is ${status}.` } }),
      );
      await page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));
    };
    await answerWith(503, 'not_ready');
    await page.getByText('This may not be current.', { exact: true }).waitFor();
    expect(await bar.getByRole('button', { name: /^Approve/ }).isDisabled()).toBe(true);
    expect(await bar.getByRole('button', { name: 'Reject' }).isDisabled()).toBe(true);
    await page.unroute('**/v1/requests/*');
    await page.getByRole('button', { name: 'Read it again' }).click();
    await page.getByText('This may not be current.', { exact: true }).waitFor({ state: 'detached' });
    expect(await bar.getByRole('button', { name: /^Approve/ }).isEnabled()).toBe(true);
    await answerWith(404, 'not_found');
    await page.getByRole('alert').getByText('The answer is 404.').waitFor();
    expect(await bar.count()).toBe(0);
    expect(await page.getByText('Acme asked for it.').count()).toBe(0);
  });

  it('takes nothing for read that moved during a sign-in in between', async () => {
    const { id, digest } = await propose();
    const { page, context } = await b.visit('alex', { path: `/requests/${id}` });
    const bar = page.getByRole('region', { name: 'Decide' });
    await bar.getByRole('button', { name: /^Approve/ }).click();
    await page.getByLabel('Comment', { exact: true }).fill('About the first content.');
    await context.clearCookies();
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Approve/ })
      .click();
    const again = page.getByRole('link', { name: /Sign in again/ }).first();
    await again.waitFor();
    const moved = await b.t.call('dana', 'PATCH', `/v1/requests/${id}`, { reason: 'Quite another.', digest });
    await again.click();
    await signInAsked(page, 'alex');
    const alert = page.getByRole('alert');
    await alert.getByText('The content has changed while you looked at it.').waitFor();
    expect(await alert.getByText(short(digest)).isVisible()).toBe(true);
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(await bar.getByRole('button', { name: /^Approve/ }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Show the new content' }).click();
    await bar.getByRole('button', { name: `Approve ${short(moved.body.digest)}` }).click();
    await page.getByRole('dialog', { name: 'Approve this change' }).waitFor();
  });

  it('keeps an open dialog when the request is decided meanwhile, and says why it sends nothing', async () => {
    const { id } = await propose();
    const { page } = await b.visit('alex', { path: `/requests/${id}?act=approve` });
    const dialog = page.getByRole('dialog', { name: 'Approve this change' });
    const approve = dialog.getByRole('button', { name: /^Approve/ });
    await approve.waitFor();
    await b.t.call('dana', 'POST', `/v1/requests/${id}/withdraw`);
    await dialog.getByText('It is withdrawn already.').waitFor();
    expect(await approve.isDisabled()).toBe(true);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await page.waitForURL((url) => !url.searchParams.has('act') && !url.searchParams.has('read'));
  });

  it('does not tell people that content changed which they changed themselves', async () => {
    const { id } = await propose();
    const { page } = await b.visit('dana', { path: `/requests/${id}?act=edit` });
    const dialog = page.getByRole('dialog', { name: 'Edit this request' });
    await dialog.getByLabel(/^Reason/).fill('A better reason.');
    await dialog.getByRole('button', { name: 'Save the edit' }).click();
    await page.getByText('“A better reason.”').waitFor();
    await dialog.waitFor({ state: 'detached' });
    expect(await page.getByText('The content has changed').count()).toBe(0);
    expect(
      await page
        .getByRole('region', { name: 'Decide' })
        .getByRole('button', { name: 'Schedule' })
        .isEnabled(),
    ).toBe(true);
  });

  it('asks for the time at its field before it sends a schedule, and previews only what is shown', async () => {
    const { id } = await propose();
    const { page } = await b.visit('dana', { path: `/requests/${id}?act=schedule` });
    const dialog = page.getByRole('dialog', { name: 'Choose when it is applied' });
    await dialog.getByLabel('When').selectOption('not before a time');
    await dialog.getByRole('button', { name: 'Schedule' }).click();
    await dialog.getByText('Choose a time.').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.route('**/preview', (route) =>
      route.fulfill({ json: { digest: `sha256:${'0'.repeat(64)}`, results: [], changed: 0 } }),
    );
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByText('this would be about other content than is shown').waitFor();
  });

  it('lets whoever asked for changes approve or take it back', async () => {
    const { id, digest } = await propose();
    const asked = await b.t.call('alex', 'POST', `/v1/requests/${id}/request-changes`, {
      text: 'Start with one.',
      digest,
    });
    expect(asked.status).toBe(200);
    await b.t.call('sam', 'POST', `/v1/requests/${id}/approve`, { digest });
    const { page } = await b.visit('alex', { path: `/requests/${id}` });
    const bar = page.getByRole('region', { name: 'Decide' });
    await bar.getByRole('button', { name: /^Approve/ }).waitFor();
    await page.getByRole('button', { name: 'Withdraw what you ask for' }).click();
    const dialog = page.getByRole('alertdialog', { name: 'Withdraw your comment' });
    await dialog.getByText('the change is applied at once').waitFor();
    await dialog.getByRole('button', { name: 'Withdraw', exact: true }).click();
    await page.getByText('Applied.', { exact: true }).waitFor();
    await page.getByText('It was withdrawn.').waitFor();
    expect((await b.t.call('dana', 'GET', `/v1/requests/${id}`)).body.state).toBe('applied');
  });
});
