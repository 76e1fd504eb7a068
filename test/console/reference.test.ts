import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';

describe.skipIf(!HAS_BROWSER)('the API page', () => {
  let b: ConsoleBench;
  let dana: Visitor;
  beforeAll(async () => {
    b = await startConsoleBench();
    dana = await b.visit('dana', { path: '/api' });
  });
  afterAll(() => b?.close());

  it('shows every call of the document that the broker serves, once', async () => {
    const { paths } = (await b.t.call(null, 'GET', '/openapi.json')).body;
    const named = Object.values(paths as Record<string, Record<string, { operationId: string }>>).flatMap(
      (methods) => Object.values(methods).map(({ operationId }) => operationId),
    );
    await dana.page.locator('details#listFlags').waitFor();
    const shown = await dana.page.locator('main details[id]').evaluateAll((all) => all.map(({ id }) => id));
    expect(shown.toSorted()).toEqual(named.toSorted());
  });

  it('finds a call, with its parameters, body, answers, problem codes and an example', async () => {
    const { page } = dana;
    await page.getByLabel('Search calls').fill('approve digest_mismatch');
    await page.waitForURL(/q=approve/);
    const call = page.locator('details#approveRequest');
    await call.locator('summary').first().click();
    await call.getByLabel('Example of approveRequest').waitFor();
    const text = await call.innerText();
    expect(text).toContain('request.approve');
    expect(text).toContain('digest_mismatch');
    expect(text).toMatch(/digest string[^\n]* required/);
    expect(text).toContain(`curl -X POST '${b.t.url}/v1/requests/ID/approve'`);
    expect(text).toContain('"digest":');
    expect(await page.locator('main details[id]').count()).toBeLessThan(5);
    await page.reload();
    await call.waitFor();
    expect(await page.getByLabel('Search calls').inputValue()).toBe('approve digest_mismatch');
  });

  it('opens the call that a link names', async () => {
    const { page, open } = dana;
    await open('/api#proposeRequest');
    const call = page.locator('details#proposeRequest');
    await call.getByText('Idempotency-Key').first().waitFor();
    await expect
      .poll(() => call.evaluate((each) => each.getBoundingClientRect().top), { timeout: 10_000 })
      .toBeLessThan(400);
  });

  it('is accessible, and fits a phone', async () => {
    const { page, open, complaints } = dana;
    await open('/api?q=explain#explainPolicy');
    await page.getByLabel('Example of explainPolicy').waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 700 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    expect(complaints).toEqual([]);
  });
});
