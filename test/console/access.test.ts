import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench } from './bench.ts';
import { applyAsDana, newFlag } from './content.ts';

/* An installation that is not set up whole: a role that nobody has, a group of examples, and a person without a role. */

interface Data {
  config: { role_bindings: { groups: Record<string, Record<string, unknown>> } };
}

function unfinished({ config: { role_bindings } }: Data): void {
  for (const groups of Object.values(role_bindings.groups)) {
    delete groups['customer-success'];
    delete groups.responders;
  }
  role_bindings.groups['https://login.example.com'] = {
    people: [{ roles: ['flag-reader'], namespaces: ['*'], environments: ['*'] }],
  };
}

describe.skipIf(!HAS_BROWSER)('a new installation', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench({ editData: unfinished as (data: never) => void });
  });
  afterAll(() => b?.close());

  const stepOf = (page: Awaited<ReturnType<ConsoleBench['visit']>>['page'], title: string) =>
    page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: title }) });

  it('tells whoever maintains the policy what is missing, with commands that policy still decides', async () => {
    const { page, open, complaints } = await b.visit('morgan', { path: '/setup' });
    await page.getByRole('status').getByText('2 of 4 steps need a look.').waitFor();
    await stepOf(page, 'People sign in at your identity provider').getByText('✓ done').waitFor();
    const holders = stepOf(page, 'Each role is bound to real groups');
    await holders.getByText('○ missing').waitFor();
    await holders
      .getByRole('listitem')
      .filter({ hasText: 'flag-emergency-override' })
      .getByText('○ nobody')
      .waitFor();
    await holders.getByText('https://login.example.com').first().waitFor();
    await holders.getByText(/countersign policy set '\/config\/role_bindings\/groups\/http:~1~1/).waitFor();
    await stepOf(page, 'There is a first flag')
      .getByRole('link', { name: 'Propose the first flag' })
      .waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await applyAsDana(b.t, [newFlag('checkout.first', { tier: 'informational' })]);
    await open('/setup');
    await stepOf(page, 'There is a first flag').getByText('✓ done').waitFor();
    expect(complaints).toEqual([]);
  });

  it('tells whoever has no role why they see nothing, and no more', async () => {
    const { page } = await b.visit('casey', { path: '/setup' });
    const role = stepOf(page, 'The policy gives you a role');
    await role.getByText('○ missing').waitFor();
    await role.getByText(/groups\/.*customer-success/).waitFor();
    await stepOf(page, 'Each role is bound to real groups').getByText('? not known to you').waitFor();
    expect(await page.getByText('payments-approvers').count()).toBe(0);
    expect(await findBarriers(page)).toEqual([]);
  });
});

describe.skipIf(!HAS_BROWSER)('access', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('checkout.first')]);
    await b.t.call('dana', 'GET', '/v1/whoami');
  });
  afterAll(() => b?.close());

  it('is shown to an auditor by person and by binding, with filters that stay in the address', async () => {
    const { page, open, complaints } = await b.visit('avery', { path: '/access' });
    const list = page.getByRole('list', { name: 'Who can do what' });
    const dana = list.getByRole('listitem').filter({ hasText: 'person:demo:dana' }).first();
    await dana.getByText('propose', { exact: true }).first().waitFor();
    await dana.getByText('last used').first().waitFor();
    await page.getByLabel('May', { exact: true }).selectOption('approve');
    await page.waitForURL(/capability=approve/);
    await list.getByText('person:demo:dana', { exact: true }).waitFor({ state: 'detached' });
    await list.getByText('person:demo:alex').waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await page.setViewportSize({ width: 1280, height: 800 });

    await open('/access?capability=approve&unused=7');
    expect(await page.getByLabel('May', { exact: true }).inputValue()).toBe('approve');
    await page.getByText('Nothing fits.').waitFor();
    await open('/access?namespace=paymentz');
    await page
      .getByRole('alert')
      .getByText(/payments/)
      .first()
      .waitFor();
    await open('/access?view=bindings');
    await page.getByRole('link', { name: 'group payments-approvers' }).first().click();
    await list.getByText('person:demo:alex').waitFor();
    expect(await list.getByText('person:demo:dana', { exact: true }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('is refused to a developer, with who could clear that; their own sessions they end', async () => {
    const other = await b.visit('dana');
    const { page } = await b.visit('dana', { path: '/access' });
    await page.getByRole('alert').getByText('Who can clear it:', { exact: false }).waitFor();
    const sessions = page.getByRole('list', { name: 'Your sessions' });
    expect(await sessions.getByText('This one').count()).toBe(1);
    await sessions.getByRole('button', { name: 'End it', exact: true }).click();
    await sessions.getByText('Another one').waitFor({ state: 'detached' });
    await other.page.reload();
    await other.page.getByRole('heading', { name: 'Feature flags by request' }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await sessions.getByRole('button', { name: 'End it, and sign out' }).click();
    await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
  });
});
