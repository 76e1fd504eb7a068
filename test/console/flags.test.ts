import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, newFlag, organizations } from './content.ts';

describe.skipIf(!HAS_BROWSER)('the flag pages', () => {
  let b: ConsoleBench;
  let dana: Visitor;
  /** What the page asked for, without the cursor. */
  const asked: URLSearchParams[] = [];
  beforeAll(async () => {
    b = await startConsoleBench();
    const keys = (from: number) => Array.from({ length: 40 }, (_, place) => `bulk.n${from + place}`);
    for (const from of [100, 140, 180]) {
      await applyAsDana(
        b.t,
        keys(from).map((key) => newFlag(key, { purpose: 'One of many.' })),
      );
    }
    await applyAsDana(b.t, [
      newFlag('checkout.new'),
      newFlag('checkout.old', { kind: 'operational', owner: 'team-billing' }),
    ]);
    await applyAsDana(b.t, [
      { action: 'enable', flag: 'checkout.new' },
      { action: 'set_audience', flag: 'checkout.new', audience: organizations('acme') },
    ]);
    dana = await b.visit('dana', { path: '/flags' });
    dana.page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url());
      if (pathname === '/v1/flags') asked.push(searchParams);
    });
  });
  afterAll(() => b?.close());

  it('list flags by pages of the broker, each with its state in every environment', async () => {
    const { page } = dana;
    await page.getByText('100 flags, and there may be more').waitFor();
    await page.getByRole('button', { name: 'More flags' }).click();
    await page.getByText('122 flags', { exact: true }).waitFor();
    const row = page.getByRole('row', { name: /^checkout\.new/ });
    expect((await row.getByRole('cell').allInnerTexts()).slice(1)).toEqual(['on 1 org', 'off', 'off']);
    expect(await page.getByRole('button', { name: 'More flags' }).count()).toBe(0);
  });

  it('leave the search to the broker, once nobody types', async () => {
    const { page } = dana;
    asked.length = 0;
    await page.getByLabel('Search').pressSequentially('billing', { delay: 15 });
    await page.getByText('1 flag', { exact: true }).waitFor();
    expect(await page.getByRole('rowheader').allInnerTexts()).toEqual([
      expect.stringContaining('checkout.old'),
    ]);
    expect(new Set(asked.map((each) => each.get('q')))).toEqual(new Set(['billing']));
    expect(new URL(page.url()).searchParams.get('q')).toBe('billing');
    await page.reload();
    await page.getByText('1 flag', { exact: true }).waitFor();
  });

  it('keep each filter in the address, and give it to the broker', async () => {
    const { page, open } = dana;
    await open('/flags?environment=production&enabled=true');
    await page.getByText('1 flag', { exact: true }).waitFor();
    await page.getByRole('row', { name: /^checkout\.new/ }).waitFor();
    await page.getByLabel('Switched').selectOption('off');
    await page.getByText('100 flags, and there may be more').waitFor();
    await page.getByLabel('Kind').selectOption('operational');
    await page.getByText('1 flag', { exact: true }).waitFor();
    await page.getByLabel('Whole owner').fill('team-billing');
    await page.getByLabel('Whole owner').press('Enter');
    await page.waitForURL(/owner=team-billing/);
    await page.getByLabel('Retired').selectOption('yes');
    await page.getByText('No flag fits.').waitFor();
    await page.getByLabel('Expires').selectOption('within 30 days');
    await page.waitForURL(/expiring=30/);
    expect(Object.fromEntries(asked.at(-1) ?? [])).toMatchObject({
      environment: 'production',
      enabled: 'false',
      kind: 'operational',
      owner: 'team-billing',
      retired: 'true',
      expires_before: expect.stringMatching(/^\d{4}-\d\d-\d\dT00:00:00.000Z$/),
    });
    await page.getByRole('link', { name: 'Clear the filters' }).click();
    await page.getByText('100 flags, and there may be more').waitFor();
    expect(await page.getByLabel('Whole owner').inputValue()).toBe('');
  });

  it('say what a namespace could have been that does not exist', async () => {
    const { page, open } = dana;
    await open('/flags?namespace=paiments');
    await page
      .getByRole('alert')
      .getByText(/did you mean payments/)
      .waitFor();
  });

  it('are accessible, and fit a phone', async () => {
    const { page, open, complaints } = dana;
    for (const path of ['/flags?q=checkout', '/flags/checkout.new']) {
      await open(path);
      await page.getByText('checkout.new').first().waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.setViewportSize({ width: 320, height: 700 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    expect(complaints).toEqual([]);
  });
});
