import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ConsoleBench, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, newFlag, organizations, proposeAsDana } from './content.ts';

/*
 * `make screenshots`: takes pictures of every page, light and dark, wide and as small as a phone, to look at. With a folder as
 * its argument, it writes them there; otherwise to .cache/screenshots. DOCS=1 also renews those of the documents.
 */

const FOLDER = process.argv[2] ?? join(import.meta.dirname, '../../.cache/screenshots');
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } } as const;

/** Waits until nothing is read any more, and takes the picture of the whole page. */
async function take({ page }: Visitor, name: string): Promise<void> {
  // What is asked after a pause, such as the answer of the policy.
  await page.waitForTimeout(900);
  await page.waitForFunction(() => document.querySelector('[data-loading]') === null);
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(FOLDER, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize(SIZES.wide);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function fill({ t }: ConsoleBench): Promise<{ held: string; applied: string }> {
  const flags = ['checkout.new', 'checkout.banner', 'search.suggestions', 'billing.invoices'];
  await applyAsDana(
    t,
    flags.map((flag, place) => newFlag(flag, { kind: place === 3 ? 'operational' : 'release' })),
    { reason: 'The flags of this quarter.' },
  );
  const applied = await applyAsDana(t, [{ action: 'enable', flag: 'checkout.banner' }]);
  await proposeAsDana(t, [{ action: 'enable', flag: 'search.suggestions' }], {
    reason: 'Suggestions are ready for everybody.',
  });
  const held = await proposeAsDana(
    t,
    [
      { action: 'enable', flag: 'checkout.new' },
      { action: 'set_audience', flag: 'checkout.new', audience: organizations('acme', 'globex', 'initech') },
      {
        action: 'set_rollout',
        flag: 'checkout.new',
        rollout: [
          { variant: 'on', percent: 25 },
          { variant: 'off', percent: 75 },
        ],
      },
      { action: 'disable', flag: 'checkout.banner' },
    ],
    { reason: 'Acme, Globex and Initech take part in the pilot of the new checkout.' },
  );
  return { held: held.id, applied: applied.id };
}

await mkdir(FOLDER, { recursive: true });
const b = await startConsoleBench();
try {
  const stranger = await b.stranger();
  await stranger.open('/');
  await take(stranger, 'sign-in');
  const dana = await b.visit('dana');
  for (const [name, path] of [
    ['inbox-empty', '/'],
    ['requests-empty', '/requests'],
    ['flags-empty', '/flags'],
    ['propose-empty', '/propose'],
  ] as const) {
    await dana.open(path);
    await take(dana, name);
  }
  const { held, applied } = await fill(b);
  const alex = await b.visit('alex');
  for (const [name, path] of [
    ['inbox', '/'],
    ['requests', '/requests?tab=open'],
    ['request', `/requests/${held}`],
    ['request-table', `/requests/${held}?view=table`],
    ['request-approve', `/requests/${held}?act=approve`],
    ['request-applied', `/requests/${applied}`],
    ['request-missing', '/requests/0190a000-0000-7000-8000-000000000000'],
    ['flags', '/flags'],
    ['flag', '/flags/checkout.banner'],
  ] as const) {
    await alex.open(path);
    await take(alex, name);
  }
  if (process.env.DOCS === '1') {
    await alex.page.setViewportSize({ width: 1120, height: 700 });
    await alex.open(`/requests/${held}?view=table`);
    await alex.page.screenshot({ path: join(import.meta.dirname, '../../docs/images/request.png') });
    await alex.page.setViewportSize(SIZES.wide);
  }
  await dana.open(`/requests/${held}`);
  await take(dana, 'request-own');
  await dana.open('/propose?flag=checkout.banner&environment=production');
  await take(dana, 'propose');
  const riley = await b.visit('riley', { mfa: true });
  for (const [name, path] of [
    ['incident', '/incident'],
    ['incident-off', '/incident?task=off'],
    ['incident-changes', '/incident?task=changes'],
    ['incident-break-glass', '/incident?task=break-glass'],
    ['incident-revoke', '/incident?task=revoke'],
    ['access-refused', '/access'],
  ] as const) {
    await riley.open(path);
    await take(riley, name);
  }
  const avery = await b.visit('avery');
  for (const [name, path] of [
    ['access', '/access'],
    ['access-bindings', '/access?view=bindings'],
    ['setup', '/setup'],
  ] as const) {
    await avery.open(path);
    await take(avery, name);
  }
  await b.t.call('riley+mfa', 'POST', '/v1/break-glass', { incident: 'INC-7', reason: 'payments fail' });
  await b.t.call('riley+mfa', 'POST', '/v1/freezes', {
    scope: 'all',
    incident: 'INC-7',
    reason: 'payments fail',
  });
  await riley.open('/incident?task=break-glass');
  await take(riley, 'incident-frozen');
  await alex.open('/');
  await take(alex, 'frozen');
  await alex.page.keyboard.press('Control+k');
  await alex.page.getByRole('dialog').waitFor();
  await take(alex, 'palette');
} finally {
  await b.close();
}
