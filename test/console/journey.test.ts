import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openingInWords } from '../../src/console/parts/opening-words.ts';
import { type ConsoleBench, findBarriers, HAS_BROWSER, signInAsked, startConsoleBench } from './bench.ts';
import { applyAsDana, HOSTILE, newFlag, organizations, proposeAsDana } from './content.ts';

/* The main journey, as two people take it in two browsers: what one proposes is held, and the other approves what they read. */

it('says when a window opens by the clocks there, and by those of the viewer', () => {
  const now = Date.parse('2026-12-04T12:00:00Z');
  const opens = { zone: 'Europe/Berlin', opens_ms: Date.parse('2026-12-07T08:00:00Z') };
  expect(openingInWords(opens, now, 'Europe/Helsinki')).toBe('Monday 09:00 Berlin, 10:00 your time');
  expect(openingInWords(opens, now, 'Europe/Paris')).toBe('Monday 09:00 Berlin');
  expect(openingInWords(opens, now, 'Pacific/Honolulu')).toBe('Monday 09:00 Berlin, Sunday 22:00 your time');
  // A weekday alone would be another one.
  const later = { zone: 'America/New_York', opens_ms: Date.parse('2026-12-14T14:00:00Z') };
  expect(openingInWords(later, now, 'UTC')).toMatch(
    /^Monday,? 14 December 2026 09:00 New York, 14:00 your time$/,
  );
});

describe.skipIf(!HAS_BROWSER)('a request', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('checkout.new'), newFlag('checkout.banner')]);
  });
  afterAll(() => b?.close());

  const pilot = () => [
    { action: 'set_audience', flag: 'checkout.new', audience: organizations('acme', 'globex', 'initech') },
    { action: 'enable', flag: 'checkout.new' },
  ];

  it('is proposed by form, with the answer of the policy before it is sent', async () => {
    const { page, open, complaints } = await b.visit('dana');
    await open('/propose?flag=checkout.banner&environment=production');
    const answer = page.getByRole('complementary', { name: 'What will the policy say?' });
    await answer.getByText('Turns on checkout.banner in production for everybody').waitFor();
    await answer.getByText('It would be held until everything here is given:').waitFor();
    await answer.getByText(/1 more approval required from a flag-approver/).waitFor();
    await page.getByRole('button', { name: 'Propose', exact: true }).click();
    await page.getByText('Say why: whoever approves it reads it.').waitFor();
    await page.getByLabel('Reason').fill('Everybody asked for it.');
    // What is typed is kept: the page is loaded again, as by a sign-in.
    await page.reload();
    expect(await page.getByLabel('Reason').inputValue()).toBe('Everybody asked for it.');
    await page.getByRole('button', { name: 'Add a change' }).click();
    const second = page.getByRole('group', { name: 'Change 2' });
    await second.getByLabel('What').selectOption('Choose who sees it');
    await second.getByLabel('Organizations').fill('globex, acme');
    await answer
      .getByText('Turns on checkout.banner in production for 2 organizations: acme, globex')
      .waitFor();
    await page.getByRole('button', { name: 'Propose', exact: true }).click();
    await page.getByText('Waits for an approval by a flag-approver.').waitFor();
    await page.getByRole('region', { name: 'Decide' }).getByRole('button', { name: 'Withdraw' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Withdraw' }).click();
    await page.getByText('Withdrawn.', { exact: true }).waitFor();
    await open('/propose?flag=checkout.banner&environment=production');
    expect(await page.getByLabel('Reason').inputValue()).toBe('');
    expect(complaints).toEqual([]);
  });

  it('goes from an inbox to an approval in two clicks, with the change in sight', async () => {
    const { page, complaints } = await b.visit('alex');
    await page.getByText('Nothing waits for you.').waitFor();
    // It comes by itself, sooner than anything is read again.
    const { id, digest } = await proposeAsDana(b.t, pilot());
    const short = `${digest.slice(7, 11)} ${digest.slice(11, 15)}`;
    const sentence = 'Turns on checkout.new in production for 3 organizations: acme, globex, initech';
    await page.getByRole('link', { name: sentence }).click();
    await page.getByRole('heading', { name: `Request ${short}` }).waitFor();
    expect(await page.getByText('Waits for an approval by a flag-approver.').isVisible()).toBe(true);
    expect(await findBarriers(page)).toEqual([]);
    await page
      .getByRole('region', { name: 'Decide' })
      .getByRole('button', { name: `Approve ${short}` })
      .click();
    const dialog = page.getByRole('dialog', { name: 'Approve this change' });
    await dialog.getByText(sentence).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await dialog.getByLabel('Comment', { exact: true }).fill('Agreed with Acme.');
    await dialog.getByRole('button', { name: `Approve ${short}` }).click();
    await page.getByText('Applied.', { exact: true }).waitFor();
    expect((await b.t.call('dana', 'GET', `/v1/requests/${id}`)).body).toMatchObject({
      state: 'applied',
      approvals: [{ person: 'emp-1002', digest, comment: 'Agreed with Acme.' }],
    });
    expect(complaints).toEqual([]);
  });

  it('offers no approval to whoever wrote it, and says why before they try', async () => {
    const { id } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.banner' }]);
    const { page, open } = await b.visit('dana-alt');
    await open(`/requests/${id}`);
    const bar = page.getByRole('region', { name: 'Decide' });
    await bar.getByText('You wrote a part of this, so another person has to approve it.').waitFor();
    expect(await bar.getByRole('button', { name: /approve/i }).count()).toBe(0);
    // Nor with the address of the dialog. Who wrote it may choose when it is applied, and is told what policy says about that.
    await open(`/requests/${id}?act=schedule`);
    await page
      .getByRole('dialog')
      .getByText(/No change window is in the way now\.|The next window opens/)
      .waitFor();
    await open(`/requests/${id}?act=approve`);
    expect(await page.getByRole('dialog').count()).toBe(0);
    await b.t.call('dana', 'POST', `/v1/requests/${id}/withdraw`);
  });

  it('takes its buttons away when its content moves under an open page', async () => {
    const { id, digest } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.banner' }]);
    const { page, open } = await b.visit('alex', { path: `/requests/${id}` });
    await page.getByRole('button', { name: 'Review and approve…' }).waitFor();
    await b.t.call('dana', 'PATCH', `/v1/requests/${id}`, { reason: 'Another reason.', digest });
    await page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));
    await page.getByRole('alert').getByText('The content has changed while you looked at it.').waitFor();
    expect(await page.getByText('Acme asked for it.').first().isVisible()).toBe(true);
    const approve = page.getByRole('region', { name: 'Decide' }).getByRole('button', { name: /^Approve/ });
    expect(await approve.isDisabled()).toBe(true);
    await page.keyboard.press('a');
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.getByRole('button', { name: 'Show the new content' }).click();
    await page.getByText('Another reason.').first().waitFor();
    expect(await approve.isEnabled()).toBe(true);
    // A letter opens the confirmation, and never decides by itself.
    await page.keyboard.press('a');
    await page.getByRole('dialog', { name: 'Approve this change' }).waitFor();
    await page.keyboard.press('Escape');
    await open(`/requests/${id}?act=reject`);
    await page
      .getByRole('alertdialog')
      .getByRole('button', { name: /^Reject/ })
      .click();
    await page.getByText('Say why: the proposer reads it.').waitFor();
    await page.getByLabel('Why').fill('No\u202eoN');
    await page
      .getByRole('alertdialog')
      .getByRole('button', { name: /^Reject/ })
      .click();
    await page.getByRole('alertdialog').getByText('#/comment').waitFor();
    await page.getByLabel('Why').fill(HOSTILE);
    await page
      .getByRole('alertdialog')
      .getByRole('button', { name: /^Reject/ })
      .click();
    await page.getByText('Rejected.', { exact: true }).waitFor();
    await page.getByText('<script>document.title="owned"</script>').first().waitFor();
    expect(await page.title()).not.toContain('owned');
    expect(await page.getByText('\\u{430}', { exact: true }).first().isVisible()).toBe(true);
  });

  it('of a job shows what its platform signed, and asks about this request alone whether one could approve', async () => {
    const job = await b.t.workloadToken();
    const body = {
      environment: 'production',
      changes: [{ action: 'enable', flag: 'checkout.banner' }],
      reason: 'By the pipeline.',
      ticket: 'PAY-18',
    };
    const { id } = (await b.t.call(job, 'POST', '/v1/requests', body)).body;
    const { page } = await b.visit('riley', { path: `/requests/${id}` });
    const panel = page.getByRole('region', { name: 'Who proposed it' });
    await panel.getByText('acme/payments', { exact: true }).waitFor();
    await panel.getByText('payments-deploy', { exact: true }).waitFor();
    const bar = page.getByRole('region', { name: 'Decide' });
    await bar.getByText('None of the missing approvals is one that you can give', { exact: false }).waitFor();
    expect(await bar.getByRole('button', { name: /^Approve/ }).count()).toBe(0);
  });

  it('keeps what was typed over a sign-in, for that person only', async () => {
    const { id } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.banner' }]);
    const { page, context } = await b.visit('alex', { path: `/requests/${id}?act=approve` });
    await page.getByLabel('Comment', { exact: true }).fill('Typed before the session ended.');
    await b.t.call('alex', 'GET', '/v1/whoami');
    await context.clearCookies();
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Approve/ })
      .click();
    await page
      .getByRole('link', { name: /Sign in again/ })
      .first()
      .click();
    await signInAsked(page, 'alex');
    await page.getByLabel('Comment', { exact: true }).waitFor();
    expect(await page.getByLabel('Comment', { exact: true }).inputValue()).toBe(
      'Typed before the session ended.',
    );
    await context.clearCookies();
    await page.goto(
      `${b.t.url}/auth/sign-in?${new URLSearchParams({ issuer: 'web', return_to: `/requests/${id}` })}`,
    );
    await signInAsked(page, 'sam');
    await page.locator('h1').first().waitFor();
    expect(
      await page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.includes('draft'))),
    ).toEqual([]);
  });

  it('takes a stronger sign-in in place: the dialog comes back with what was typed, and the person sends it', async () => {
    const request = await proposeAsDana(b.t, [newFlag('payments.limit', { tier: 'high-risk' })]);
    expect(request.state).toBe('pending');
    const { page } = await b.visit('alex', { path: `/requests/${request.id}?act=approve` });
    await page.getByLabel('Comment', { exact: true }).fill('The limit was agreed.');
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Approve/ })
      .click();
    await page.getByRole('link', { name: /Sign in again at level 2/ }).click();
    await page.getByText('A second factor is asked for').waitFor();
    await page.getByRole('button', { name: 'Sign in as alex with a second factor' }).click();
    const comment = page.getByLabel('Comment', { exact: true });
    await comment.waitFor();
    expect(await comment.inputValue()).toBe('The limit was agreed.');
    const before = (await b.t.call('dana', 'GET', `/v1/requests/${request.id}`)).body;
    expect(before.approvals).toEqual([]);
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Approve/ })
      .click();
    await page
      .getByText(/^Approved by/)
      .first()
      .waitFor();
    const { approvals } = (await b.t.call('dana', 'GET', `/v1/requests/${request.id}`)).body;
    expect(approvals).toMatchObject([{ person: 'emp-1002', comment: 'The limit was agreed.' }]);
  });

  it('is found, read and approved with the keyboard alone', async () => {
    const { id, digest } = await proposeAsDana(b.t, [
      { action: 'set_audience', flag: 'checkout.banner', audience: organizations('globex') },
    ]);
    const { page, open } = await b.visit('alex', { path: '/requests' });
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').getByRole('searchbox').waitFor();
    await page.keyboard.type('inbo');
    await page.getByRole('menuitem', { name: /^Inbox/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Inbox', exact: true }).waitFor();
    const item = page.getByRole('link', { name: /checkout\.banner.*globex/ });
    await item.waitFor();
    for (let step = 0; step < 10; step += 1) {
      await page.keyboard.press('j');
      if (await item.evaluate((element) => element === document.activeElement)) break;
    }
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Decide' }).waitFor();
    await page.keyboard.press('a');
    await page.getByRole('dialog').getByLabel('Comment', { exact: true }).waitFor();
    await page.keyboard.type('a, x and j are text here');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Applied.', { exact: true }).waitFor();
    expect((await b.t.call('dana', 'GET', `/v1/requests/${id}`)).body.approvals).toMatchObject([
      { digest, comment: 'a, x and j are text here' },
    ]);
    // Whoever dictates to their browser can turn letters off. WCAG 2.1.4
    await page.keyboard.press('?');
    await page.getByRole('button', { name: 'Turn keys of one letter off' }).click();
    await page.keyboard.press('Escape');
    await open('/requests');
    await page.keyboard.press('?');
    await page.keyboard.press('g');
    await page.keyboard.press('f');
    expect(new URL(page.url()).pathname).toBe('/requests');
    expect(await page.getByRole('dialog').count()).toBe(0);
  });
});
