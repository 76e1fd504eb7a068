import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseVerifier } from '../../src/tree/note.ts';
import { verifyProofFile } from '../../src/tree/proof-file.ts';
import { applyChanges, approve, creation, propose, TICKET } from '../support/flags.ts';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';

/** Text that would be markup, or would look like another name. */
const HOSTILE = '<img src=x onerror=alert(1)> p\u0430yments';

/** Pages are slow while the machine does other things. */
const PATIENT = { timeout: 15_000 };

describe.skipIf(!HAS_BROWSER)('the audit pages', () => {
  let b: ConsoleBench;
  let auditor: Visitor;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyChanges(b.t, [creation('new-checkout')]);
    const { body } = await propose(b.t, [{ action: 'enable', flag: 'new-checkout' }], {
      ticket: TICKET,
      reason: HOSTILE,
    });
    expect(body).toMatchObject({ state: 'pending' });
    // Dana may not approve her own request: one decision is denied.
    await approve(b.t, 'dana', body);
    await approve(b.t, 'alex', body);
    auditor = await b.visit('avery', { path: '/audit' });
  });
  afterAll(() => b?.close());

  const rows = ({ page }: Visitor) => page.getByRole('list', { name: 'Decisions' }).getByRole('listitem');

  it('answer a question, lead to its decision, make it again and prove it', async () => {
    const { page } = auditor;
    await page.getByLabel('Flag').fill('new-checkout');
    await page.getByLabel('Outcome').selectOption('deny');
    await page.getByRole('button', { name: 'Show decisions' }).click();
    await page.waitForURL(/outcome=deny/);
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(1);
    await page.getByRole('link', { name: 'Approve a request about new-checkout in production' }).click();
    await page.getByRole('heading', { level: 1, name: 'Approve a request about new-checkout' }).waitFor();
    await page
      .getByText('four_eyes')
      .waitFor({ timeout: 2000 })
      .catch(() => undefined);

    await page.getByRole('button', { name: 'Replay' }).click();
    await page.getByText('The same answer came out, byte for byte.').first().waitFor();

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save the proof' }).click(),
    ]);
    const file = await readFile(await download.path(), 'utf8');
    const { key } = (await b.t.call(null, 'GET', '/v1/log')).body;
    const { leaf, index } = verifyProofFile(file, parseVerifier(key));
    expect(JSON.parse(leaf.toString())).toMatchObject({
      operation: 'request.approve',
      outcome: { effect: 'deny' },
    });
    expect(download.suggestedFilename()).toBe(`decision-${index + 1}.tlog-proof`);
  });

  it('keep filters in the address, so that they survive a reload and can be sent to somebody', async () => {
    const { page, open } = auditor;
    await open('/audit?operation=request.propose&environment=production&outcome=hold&principal=emp-1001');
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(2);
    await page.reload();
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(2);
    expect(await page.getByLabel('Operation').inputValue()).toBe('request.propose');
    expect(await page.getByLabel('Environment').inputValue()).toBe('production');
    expect(await page.getByLabel('Person or pipeline').inputValue()).toBe('emp-1001');
  });

  it('go through the log in pages of the broker', async () => {
    const { page, open } = auditor;
    for (let count = 0; count < 55; count += 1) await b.t.call('avery', 'GET', '/v1/decisions?limit=1');
    await open('/audit');
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(50);
    const placeOfFirst = async () => /#\d+/.exec((await rows(auditor).first().textContent()) ?? '')?.[0];
    const newest = await placeOfFirst();
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByRole('heading', { name: 'Older decisions' }).waitFor();
    await page.getByRole('link', { name: 'Activate a policy bundle' }).waitFor();
    await page.goBack();
    await expect.poll(placeOfFirst, PATIENT).toBe(newest);
  });

  it('read the log once, because each look at it is a record', async () => {
    const { page, open } = auditor;
    const before = (await b.records()).length;
    const looks = async () => (await b.records()).slice(before).map(({ operation }) => operation);
    await open('/audit');
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(50);
    expect(await looks()).toEqual(['decision.read']);
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await page.getByRole('button', { name: 'Read again' }).click();
    await expect.poll(looks, PATIENT).toEqual(['decision.read', 'decision.read']);
  });

  it('show the health of the log, with what is missing to it', async () => {
    const health = auditor.page.getByRole('region', { name: 'Health of the log' });
    const { origin, key } = (await b.t.call(null, 'GET', '/v1/log')).body;
    await health.getByText(key).waitFor();
    expect(await health.innerText()).toContain(origin);
    expect(await health.innerText()).toContain('No witness is configured');
  });

  it('draw the days as charts for whoever asks, and as a table', async () => {
    const { page, open } = auditor;
    await open('/audit');
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(50);
    const before = (await b.records()).length;
    const panel = page.getByRole('region', { name: 'Day by day' });
    await panel.getByRole('button', { name: 'Draw the last 30 days' }).click();
    await panel.getByRole('img', { name: /^Applied by day: at most 2, on/ }).waitFor();
    expect((await b.records()).slice(before).map(({ operation }) => operation)).toEqual(['decision.read']);
    await panel.getByRole('button', { name: 'Show as table' }).click();
    const today = panel.getByRole('row').nth(1);
    const [applied, held, denied] = await today.getByRole('cell').allInnerTexts();
    const { days } = (await b.t.call('avery', 'GET', '/v1/audit/summary')).body;
    const { from_ms: _, ...last } = days.at(-1);
    expect(last).toMatchObject({ applied: 2, held: Number(held), denied: Number(denied) });
    expect(applied).toBe('2');
    expect(new URL(page.url()).searchParams.get('days')).toBe('30');
    await panel.getByRole('button', { name: 'Show as charts' }).click();
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 360, height: 740 });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  it('show hostile text as text, and move through the list by keys', async () => {
    const { page, open } = auditor;
    await open('/audit?flag=new-checkout&operation=request.propose&outcome=hold');
    await expect.poll(() => rows(auditor).count(), PATIENT).toBe(2);
    await page.locator('h1').click();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByText('Input of the policy').click();
    const input = page.getByLabel('As JSON');
    await input.waitFor();
    expect(await input.innerText()).toContain('<img src=x onerror=alert(1)> p\\u{430}yments');
    expect(await page.locator('img').count()).toBe(0);
  });

  it('say to whoever may not read the log that they may not, and nothing of it', async () => {
    const dana = await b.visit('dana', { path: '/audit' });
    await dana.page.getByRole('alert').first().waitFor();
    expect(await rows(dana).count()).toBe(0);
    const { items } = (await b.t.call('avery', 'GET', '/v1/decisions?flag=new-checkout')).body;
    await dana.open(`/audit/${items[0].id}`);
    await dana.page.getByRole('alert').first().waitFor();
    expect(await dana.page.locator('main').innerText()).not.toContain('new-checkout');
    expect(dana.complaints).toEqual([]);
  });

  it('are accessible, and fit a phone', async () => {
    const { page, open, complaints } = auditor;
    const { items } = (await b.t.call('avery', 'GET', '/v1/decisions?flag=new-checkout')).body;
    for (const path of ['/audit?flag=new-checkout&days=30', `/audit/${items[0].id}`]) {
      await open(path);
      await page
        .getByRole('link', { name: /new-checkout/ })
        .first()
        .waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.setViewportSize({ width: 320, height: 700 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    expect(complaints).toEqual([]);
  });
});
