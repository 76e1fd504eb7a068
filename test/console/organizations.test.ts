import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, newFlag, organizations } from './content.ts';

describe.skipIf(!HAS_BROWSER)('the organization pages', () => {
  let b: ConsoleBench;
  let dana: Visitor;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('new-checkout'), newFlag('old-report')]);
    const audience = organizations('acme', 'globex');
    await applyAsDana(b.t, [{ action: 'set_audience', flag: 'new-checkout', audience }]);
    await applyAsDana(b.t, [{ action: 'enable', flag: 'new-checkout' }]);
    dana = await b.visit('dana', { path: '/organizations' });
  });
  afterAll(() => b?.close());

  it('find a customer, and show each flag that it sees and why', async () => {
    const { page } = dana;
    await page.getByLabel('Name').fill('acm');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('link', { name: 'acme' }).click();
    await page.getByRole('heading', { level: 1, name: 'acme' }).waitFor();
    const named = page.getByRole('region', { name: 'Flags that name it (1)' });
    await named.getByRole('row', { name: /new-checkout on true the audience names it/ }).waitFor();
    const others = page.getByRole('region', { name: 'Other flags (1)' });
    await others.getByRole('row', { name: /old-report off false the flag is switched off/ }).waitFor();
  });

  it('leave the search for a flag to the broker', async () => {
    const { page, open } = dana;
    const asked: (string | null)[] = [];
    page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url());
      if (pathname === '/v1/organizations/acme/flags') asked.push(searchParams.get('q'));
    });
    const field = page.getByLabel('Only flags whose key has');
    await field.fill('REPORT');
    await page.getByRole('region', { name: 'Flags (1)', exact: true }).getByText('old-report').waitFor();
    expect(new Set(asked)).toEqual(new Set(['REPORT']));
    await field.fill('nothing-has-it');
    await page.getByText('No flag that you may read has that in its key.').waitFor();
    await open('/organizations/acme?environment=production');
  });

  it('show what has changed for it, with the request that did it', async () => {
    const { page } = dana;
    const changes = page.getByRole('region', { name: 'What has changed for it' });
    await changes.getByText('gets on in place of off').waitFor();
    await changes.getByRole('link', { name: 'request' }).first().click();
    await page.waitForURL(/\/requests\//);
  });

  it('show of an organization that no flag names what everybody sees, by an address', async () => {
    const { page, open } = dana;
    const name = '<img src=x onerror=alert(1)> \u202Eevil';
    await open(`/organizations/${encodeURIComponent('initech')}?environment=production&days=7`);
    await page.getByRole('row', { name: /new-checkout off false it is not in the audience/ }).waitFor();
    await page.reload();
    await page.getByRole('row', { name: /new-checkout off false it is not in the audience/ }).waitFor();
    expect(await page.getByLabel('In', { exact: true }).inputValue()).toBe('7');
    await open(`/organizations/${encodeURIComponent(name)}?environment=production`);
    await page.getByRole('heading', { level: 1 }).getByText('<img src=x onerror=alert(1)>').waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('\\u{202e}');
  });

  it('show flags only to whoever may read them', async () => {
    const { page, open, complaints } = await b.visit('casey', { path: '/' });
    const may = (await b.t.call('casey', 'GET', '/v1/flags?environment=production')).status === 200;
    await open('/organizations/acme?environment=production');
    if (!may) await page.getByRole('alert').first().waitFor();
    expect((await page.getByRole('link', { name: 'new-checkout' }).count()) > 0).toBe(may);
    expect(complaints).toEqual([]);
  });

  it('are accessible, and fit a phone', async () => {
    const { page, open, complaints } = dana;
    for (const path of ['/organizations', '/organizations/acme']) {
      await open(path);
      await page
        .getByRole('link', { name: /acme|new-checkout/ })
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
