import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signIn } from '../support/activation.ts';
import { applyChanges, approve, creation } from '../support/flags.ts';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';

describe.skipIf(!HAS_BROWSER)('the policy pages', () => {
  let b: ConsoleBench;
  let keeper: Visitor;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyChanges(b.t, [creation('new-checkout')]);
    await signIn(b.t);
    // A day more for open requests, by a patch of the active data that a second person approves.
    const { body } = await b.t.call('morgan', 'POST', '/v1/requests', {
      kind: 'policy.activate',
      patch: [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 172_800 }],
      reason: 'a test',
    });
    await approve(b.t, 'jordan', body);
    expect((await approve(b.t, 'sam', body)).body).toMatchObject({ state: 'applied' });
    keeper = await b.visit('morgan', { path: '/policy', mfa: true });
  });
  afterAll(() => b?.close());

  it('show the rules of tiers, the windows in a week, and who has which role', async () => {
    const { page } = keeper;
    await page
      .getByRole('row', { name: /^operational production more exposure 1 × flag-approver/ })
      .waitFor();
    await page.getByRole('link', { name: 'Change windows' }).click();
    const window = page.getByRole('region', { name: 'business-hours-berlin' });
    await window.getByText('Mon, Tue, Wed, Thu').waitFor();
    expect(await window.getByRole('listitem').count()).toBeGreaterThan(0);
    await page.getByRole('link', { name: 'Roles and trust' }).click();
    await page
      .getByRole('row', { name: /group payments-approvers .* flag-approver/ })
      .first()
      .waitFor();
  });

  it('tell what differs between two policies, and who approved it', async () => {
    const { page } = keeper;
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('row', { name: /emp-1007 emp-1008, emp-1003/ }).waitFor();
    await page.getByRole('link', { name: 'what changed' }).first().click();
    const row = page.getByRole('row', { name: /limits › request_ttl_s/ });
    expect(await row.innerText()).toMatch(/removed:\s+604800\s+added:\s+172800/);
    const { searchParams } = new URL(page.url());
    await page.reload();
    await row.waitFor();
    expect(new URL(page.url()).searchParams.get('after')).toBe(searchParams.get('after'));
    await page.getByRole('region', { name: 'Access' }).getByRole('heading', { name: 'Gained' }).waitFor();
  });

  it('read the data of a stored policy by its hash, for whoever may read policies', async () => {
    const read = (who: string, hash: string) => b.t.call(who, 'GET', `/v1/policy/data?policy_hash=${hash}`);
    const [now, first] = (await b.t.call('morgan', 'GET', '/v1/policy/activations')).body.items;
    for (const [{ policy_hash }, seconds] of [
      [now, 172_800],
      [first, 604_800],
    ]) {
      const { body } = await read('morgan', policy_hash);
      expect([body.policy_hash, body.data.config.limits.request_ttl_s]).toEqual([policy_hash, seconds]);
      expect((await read('dana', policy_hash)).status).toBe(403);
    }
    const unknown = await read('morgan', `sha256:${'0'.repeat(64)}`);
    expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
    expect((await read('morgan', 'sha256:1')).status).toBe(400);
  });

  it('ask the policy what it would answer to somebody else', async () => {
    const { page, open } = keeper;
    const count = async () => (await b.t.call('dana', 'GET', '/v1/requests')).body.items.length;
    const before = await count();
    await open('/policy?tab=explain');
    await page.getByLabel('Flag').fill('new-checkout');
    await page.getByLabel('Environment').fill('production');
    await page.getByLabel('As person or principal').fill('emp-1001');
    await page.getByRole('button', { name: 'Ask the policy' }).click();
    const answer = page.getByRole('region', { name: 'The answer' });
    await answer.getByText('Held').first().waitFor();
    expect(await answer.innerText()).toContain('Who could: emp-1002');
    expect(await count()).toBe(before);
  });

  it('explain a decision that a link names', async () => {
    const { page, open } = await b.visit('avery');
    const { items } = (await b.t.call('avery', 'GET', '/v1/decisions?flag=new-checkout')).body;
    await open(`/audit/${items[0].id}`);
    await page.getByRole('link', { name: 'What would change this answer' }).click();
    await page.getByRole('region', { name: 'The answer' }).getByText('Granted by').waitFor();
  });

  it('show nothing of the policy to whoever may not read it', async () => {
    const { page, open, complaints } = await b.visit('dana');
    for (const path of ['/policy', '/policy?tab=history', '/policy?tab=compare']) {
      await open(path);
      await page.getByRole('alert').first().waitFor();
      expect(await page.getByRole('table').count()).toBe(0);
    }
    expect(complaints).toEqual([]);
  });

  it('are accessible, and fit a phone', async () => {
    const { page, open, complaints } = keeper;
    for (const tab of ['rules', 'windows', 'access', 'history', 'compare', 'explain']) {
      await open(`/policy?tab=${tab}`);
      await page.getByRole('heading', { level: 2 }).first().waitFor();
      expect([tab, await findBarriers(page)]).toEqual([tab, []]);
      await page.setViewportSize({ width: 320, height: 700 });
      expect([tab, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([tab, 320]);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    expect(complaints).toEqual([]);
  });
});
