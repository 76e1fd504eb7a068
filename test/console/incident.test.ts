import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, findBarriers, HAS_BROWSER, signInAsked, startConsoleBench } from './bench.ts';
import { applyAsDana, HOSTILE, newFlag } from './content.ts';

/* The page of incidents, as a responder takes it: stop the writes, make it safer, revoke, and undo with a second person. */

const PHONE = { width: 360, height: 740 };

describe.skipIf(!HAS_BROWSER)('an incident', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
    // Sign-ins come from a provider with the clock of the machine.
    b.t.clock.follow();
    await applyAsDana(b.t, [
      newFlag('checkout.new'),
      newFlag('checkout.retry', { purpose: HOSTILE.slice(0, 200) }),
    ]);
    await applyAsDana(b.t, [
      { action: 'enable', flag: 'checkout.new' },
      { action: 'enable', flag: 'checkout.retry' },
    ]);
  });
  afterAll(() => b?.close());

  const freezes = async () => (await b.t.call('riley', 'GET', '/v1/freezes')).body.items;

  it('is frozen by one person once, however often they press, and lifted by two', async () => {
    const { page, complaints } = await b.visit('riley', { path: '/incident', viewport: PHONE });
    await page.getByRole('heading', { name: 'Nothing is frozen' }).waitFor();
    const form = page.getByRole('form', { name: 'Freeze' });
    await form.getByText('Policy lets you freeze this, alone and at once.').waitFor();
    const press = form.getByRole('button', { name: 'Freeze production' });
    await press.click();
    // Nothing is sent without the incident; the first field that is missing has the focus.
    expect(
      await page.getByLabel('Incident reference').evaluate((field) => field === document.activeElement),
    ).toBe(true);
    expect(await freezes()).toEqual([]);
    await page.keyboard.type('INC-7');
    await page.getByLabel('What is wrong').fill(HOSTILE);
    await press.dblclick();
    await page
      .getByText('Pressing again sent', { exact: false })
      .or(page.getByText('Pressing again sends', { exact: false }))
      .first()
      .waitFor();
    await page.getByRole('heading', { name: 'Frozen: production' }).waitFor();
    expect(await freezes()).toMatchObject([
      { scope: 'environment', environment: 'production', incident: 'INC-7' },
    ]);
    await form.getByRole('button', { name: '✓ Frozen: production' }).click();
    await form.getByText('It is done already. Pressing again sent nothing more.').waitFor();
    expect(await freezes()).toHaveLength(1);
    expect(await page.title()).toBe('Frozen · Incident · Countersign');
    expect(await page.getByRole('region', { name: 'Active freezes' }).isVisible()).toBe(true);
    expect(await findBarriers(page)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);

    await page.getByRole('link', { name: 'Lift this freeze…' }).click();
    await page.getByLabel('Why it can be lifted').fill('Refunds are paid once again.');
    await page.getByRole('button', { name: 'Propose to lift the freeze of production' }).click();
    await page.getByText(/^Held .*Waits for an approval by a flag-approver/).waitFor();
    expect(await freezes()).toHaveLength(1);
    const [lift] = (await b.t.call('riley', 'GET', '/v1/requests?kind=freeze.lift')).body.items;
    await b.t.call('sam+mfa', 'POST', `/v1/requests/${lift.id}/approve`, { digest: lift.digest });
    await page.getByRole('heading', { name: 'Nothing is frozen' }).waitFor();
    // The page that froze it says so no more, and freezes anew.
    await form.getByRole('button', { name: 'Freeze production', exact: true }).click();
    await page.getByRole('heading', { name: 'Frozen: production' }).waitFor();
    const again = {
      kind: 'freeze.lift',
      freeze: (await freezes())[0].id,
      reason: 'It is over.',
      ticket: 'INC-7',
    };
    const second = await b.t.call('riley', 'POST', '/v1/requests', again);
    await b.t.call('sam+mfa', 'POST', `/v1/requests/${second.body.id}/approve`, {
      digest: second.body.digest,
    });
    await page.reload();
    await page.getByRole('heading', { name: 'Nothing is frozen' }).waitFor();
    expect(complaints).toEqual([]);
  });

  it('says to whoever may not freeze that they may not, before they press', async () => {
    const { page, open } = await b.visit('dana', { path: '/incident' });
    await page.getByText('Policy would refuse this to you.').waitFor();
    expect(await page.getByRole('button', { name: 'Freeze production' }).isDisabled()).toBe(true);
    await open('/incident?task=revoke');
    await page.getByText('Policy would refuse this to you.').waitFor();
    expect(await page.getByRole('button', { name: 'Show what it would hit' }).isDisabled()).toBe(true);
  });

  it('is made safer in a break-glass session, whose reason outlives the stronger sign-in that it needs', async () => {
    const { page, complaints } = await b.visit('riley', {
      path: '/incident?task=break-glass',
      viewport: PHONE,
    });
    await page.getByLabel('Incident reference').fill('INC-8');
    await page.getByLabel('What is wrong').fill('Refunds are paid twice.');
    await page.getByText('A sign-in of level 2', { exact: false }).first().waitFor();
    const press = page.getByRole('button', { name: 'Open a break-glass session' });
    expect(await press.isDisabled()).toBe(true);
    await page.getByRole('link', { name: /Sign in again at level 2/ }).click();
    await signInAsked(page, 'riley', { mfa: true });
    await page.getByText('Policy lets you open a session now.').waitFor();
    expect(await page.getByLabel('What is wrong').inputValue()).toBe('Refunds are paid twice.');
    await press.click();
    await page
      .getByText(/\d+ min \d\d s left/)
      .first()
      .waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.getByRole('link', { name: 'Switch a flag off in this session…' }).click();
    await page.getByLabel('Find a flag').fill('retry');
    await page.getByRole('button', { name: 'Switch off checkout.retry…' }).click();
    await page.getByRole('button', { name: 'Switch off checkout.retry now' }).dblclick();
    await page.getByRole('button', { name: '✓ Applied' }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    const flag = await b.t.call('dana', 'GET', '/v1/flags/checkout.retry');
    expect(flag.body.states.production).toMatchObject({ enabled: false, version: 3 });
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    await page.getByRole('link', { name: 'Break-glass', exact: true }).click();
    await page
      .getByRole('list', { name: 'Changed in this session' })
      .getByText('Turns off checkout.retry')
      .waitFor();
    await page.getByRole('button', { name: 'Close the session' }).click();
    await press.waitFor();
    const { body } = await b.t.call('riley', 'GET', '/v1/break-glass');
    expect(body.items).toMatchObject([{ incident: 'INC-8', closed_ms: expect.any(Number) }]);
    expect(complaints).toEqual([]);
  });

  it('offers to whoever may change a flag the way back to what was before', async () => {
    const { page } = await b.visit('dana', { path: '/incident?task=changes' });
    await page.getByLabel('Incident reference').fill('INC-9');
    await page.getByLabel('What is wrong').fill('It was the wrong flag.');
    const row = page.getByRole('list', { name: 'Recent changes' }).getByRole('listitem').first();
    await row.getByText('Turns off checkout.retry').waitFor();
    await row.getByRole('button', { name: /^Return to before/ }).click();
    await page.waitForTimeout(1500);
    await row.getByText('Policy asks for more:').waitFor();
    await row.getByRole('button', { name: 'Propose to return to checkout.retry@2' }).click();
    await row.getByText('Waits for an approval by a flag-approver', { exact: false }).waitFor();
    const { body } = await b.t.call('dana', 'GET', '/v1/requests?state=open&flag=checkout.retry');
    expect(body.items).toMatchObject([{ ticket: 'INC-9', changes: [{ action: 'return_to_version' }] }]);
  });

  it('revokes what was taken over, after it has shown what it would hit', async () => {
    const { page, complaints } = await b.visit('riley', { path: '/incident?task=revoke', viewport: PHONE });
    await page.getByLabel('Incident reference').fill('INC-10');
    await page.getByLabel('What is wrong').fill('A runner was taken over.');
    await page.getByLabel('What to revoke').selectOption('trust_rule');
    await page.getByLabel('Its name').fill('payments-deploi');
    await page.getByRole('button', { name: 'Show what it would hit' }).click();
    await page.getByText('payments-deploy', { exact: false }).first().waitFor();
    await page.getByLabel('Its name').fill('payments-deploy');
    await page.getByRole('button', { name: 'Show what it would hit' }).click();
    await page.getByText('It would hit', { exact: false }).first().waitFor();
    expect((await b.t.call('riley', 'GET', '/v1/revocations')).body.items).toEqual([]);
    await page.getByRole('button', { name: 'Revoke trust rule payments-deploy' }).dblclick();
    const list = page.getByRole('list', { name: 'Revocations in force' });
    await list.getByText('payments-deploy').waitFor();
    expect((await b.t.call('riley', 'GET', '/v1/revocations')).body.items).toMatchObject([
      { kind: 'trust_rule', value: 'payments-deploy', incident: 'INC-10' },
    ]);
    expect(await findBarriers(page)).toEqual([]);
    await list.getByRole('link', { name: 'Lift this revocation…' }).click();
    await page.getByLabel('Why it can be lifted').fill('The runner is new.');
    await page.getByRole('button', { name: /^Propose to lift the revocation/ }).click();
    await page.getByText(/^Held .*Waits for an approval by a security-approver/).waitFor();
    expect(complaints).toEqual([]);
  });

  it('shows what others do as it happens', async () => {
    await applyAsDana(b.t, [newFlag('checkout.live')]);
    await applyAsDana(b.t, [{ action: 'enable', flag: 'checkout.live' }]);
    const { page, open } = await b.visit('riley', {
      path: '/incident?task=off&q=LIVE',
      viewport: PHONE,
    });
    const on = page.getByRole('list', { name: 'Flags that are on' });
    await on.getByText('checkout.live').waitFor();
    expect(await on.getByText('checkout.new').count()).toBe(0);
    await applyAsDana(b.t, [{ action: 'disable', flag: 'checkout.live' }]);
    await page.getByText('No flag that is on fits.').waitFor();
    const stream = page.waitForResponse('**/v1/events');
    await open('/incident?task=revoke');
    await stream;
    const revoked = page.getByRole('list', { name: 'Revocations in force' });
    const order = { kind: 'subject', value: 'emp-4711', incident: 'INC-11', reason: 'left' };
    expect((await b.t.call('riley', 'POST', '/v1/revocations', order)).status).toBe(201);
    await revoked.getByText('emp-4711').waitFor();
  });
});
