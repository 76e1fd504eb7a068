import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { exchange } from '../support/broker.ts';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, newFlag, organizations } from './content.ts';

describe.skipIf(!HAS_BROWSER)('the flag pages', () => {
  let b: ConsoleBench;
  let dana: Visitor;
  /** What the page asked for, without the cursor. */
  const asked: URLSearchParams[] = [];
  beforeAll(async () => {
    b = await startConsoleBench({ config: { evaluations: { interval_seconds: 1 } } });
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

  it('leave the search to the broker', async () => {
    const { page } = dana;
    asked.length = 0;
    await page.getByLabel('Search').fill('billing');
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

  it('tell in what the environments differ', async () => {
    const { page, open } = dana;
    await open('/flags/checkout.new');
    const stands = page.getByRole('region', { name: 'Where it stands' });
    await stands.getByRole('row', { name: 'Switched on off off' }).waitFor();
    await stands.getByRole('row', { name: 'For 1 organization: acme everybody everybody' }).waitFor();
    await stands.getByText('The same everywhere: Shares, Default variant, Rules.').waitFor();
    await open('/flags/checkout.old');
    await stands.getByText('It is the same in every environment.').waitFor();
  });

  it('show who reads a flag to whoever may read decisions, when they ask', async () => {
    const { t } = b;
    const audience = 'data:production';
    const token = (await exchange(t.url, await t.ci.checkoutToken(), { audience })).body.access_token;
    for (const organization of ['acme', 'acme', 'globex']) {
      const body = { context: { organization } };
      await t.call(token, 'POST', '/ofrep/v1/evaluate/flags/checkout.new', body);
    }
    const path = '/v1/evaluations?flag=checkout.new&environment=production';
    await vi.waitFor(
      async () => {
        await t.broker.scheduler.tick();
        const { items } = (await t.call('avery', 'GET', path)).body;
        expect(items.length).toBeGreaterThan(1);
      },
      { timeout: 10_000, interval: 200 },
    );
    const isRead = (operation: string) => operation === 'decision.read';
    const reads = async () => (await b.records()).filter(({ operation }) => isRead(operation)).length;
    const { page, complaints } = await b.visit('avery', { path: '/flags/checkout.new' });
    const readers = page.getByRole('region', { name: 'Who reads it in production' });
    await readers.getByText('each look is recorded').waitFor();
    const before = await reads();
    await readers.getByRole('button', { name: 'Show who reads it' }).click();
    await readers.getByRole('row', { name: /checkout.* on 2 / }).waitFor();
    await readers.getByRole('row', { name: /checkout.* off 1 / }).waitFor();
    expect(await reads()).toBe(before + 1);
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 700 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    expect(complaints).toEqual([]);
    const other = dana.page;
    await dana.open('/flags/checkout.new');
    await other.getByRole('button', { name: 'Show who reads it' }).click();
    await other.getByRole('region', { name: 'Who reads it' }).getByRole('alert').waitFor();
    expect(await other.getByRole('row', { name: /checkout.* on 2 / }).count()).toBe(0);
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
