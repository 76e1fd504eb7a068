import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALLS } from '../../src/console/api/calls.ts';
import { PLACES } from '../../src/console/app/places.ts';
import { piecesOf, safeText } from '../../src/console/parts/unsafe-text.ts';
import { CONSOLE_MANIFEST, CONSOLE_PAGES } from '../../src/http/console-files.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { listRoutes } from '../../src/routes.ts';
import { CONSOLE } from '../../tools/console/build.ts';
import { type ConsoleBench, findBarriers, HAS_BROWSER, startConsoleBench, type Visitor } from './bench.ts';
import { applyAsDana, HOSTILE, newFlag, proposeAsDana } from './content.ts';

/* What holds for every page: the policy of the broker is broken by none, axe finds nothing, and small screens suffice. */

/** The most JavaScript of the first view, compressed. */
const FIRST_VIEW_BYTES = 200 * 1024;

describe('the console', () => {
  it('makes only calls of the list of routes, as the list has them', () => {
    const listed = new Map<string, string>(
      listRoutes(requestKinds).map(({ name, method, path }) => [name, `${method} ${path}`]),
    );
    for (const [name, call] of Object.entries(CALLS)) expect(call, name).toBe(listed.get(name));
  });

  it('has its pages where the broker serves it', () => {
    const segments = PLACES.map(({ to }) => to.split('/')[1] ?? '').filter((segment) => segment !== '');
    expect(segments.filter((segment) => !(CONSOLE_PAGES as readonly string[]).includes(segment))).toEqual([]);
  });

  it.each([
    ['a\u202eb', 'a\\u{202e}b'],
    ['zero\u200bwidth', 'zero\\u{200b}width'],
    ['p\u0430ypal', 'p\\u{430}ypal'],
    ['\uff41cme', '\\u{ff41}cme'],
    ['\u{1d5ba}\u{1d5bc}me', '\\u{1d5ba}\\u{1d5bc}me'],
    ['\u{1d7cf}0 %', '\\u{1d7cf}0 %'],
    ['\u212aey', '\\u{212a}ey'],
    ['20 m², the 2º, ½, 10 €…', '20 m², the 2º, ½, 10 €…'],
    ['flag\u2028next', 'flag\\u{2028}next'],
    // Whole words of other alphabets are text.
    ['Привет, Straße und 東京', 'Привет, Straße und 東京'],
    ['two\nlines', 'two\nlines'],
  ])('shows what misleads as an escape: %j', (text, shown) => {
    expect(safeText(text)).toBe(shown);
    expect(piecesOf(text).some(({ why }) => why !== null)).toBe(text !== shown);
  });
});

/** The pages, and states of them. `ID` is a request. */
const PATHS = [
  '/',
  '/requests',
  '/requests?tab=closed',
  '/requests/ID',
  '/requests/ID?view=table',
  '/requests/ID?view=json',
  '/requests/ID?act=reject',
  '/requests/0190a000-0000-7000-8000-000000000000',
  '/requests/nothing/of/this/path',
  '/flags',
  '/flags?q=zzz&tier=none',
  '/flags/checkout.new',
  '/flags/not-there',
  '/propose',
  '/propose?flag=checkout.new&environment=production',
];

describe.skipIf(!HAS_BROWSER)('each page', () => {
  let b: ConsoleBench;
  let alex: Visitor;
  let id: string;
  beforeAll(async () => {
    b = await startConsoleBench();
    await applyAsDana(b.t, [newFlag('checkout.new', { owner: HOSTILE.slice(0, 200), purpose: HOSTILE })]);
    ({ id } = await proposeAsDana(b.t, [{ action: 'enable', flag: 'checkout.new' }], { reason: HOSTILE }));
    alex = await b.visit('alex');
  });
  afterAll(() => b?.close());

  it.each(PATHS)(
    'breaks no policy, has no barrier, fits 320 pixels, and shows hostile text as text: %s',
    async (path) => {
      const { page, open, complaints } = alex;
      await open(path.replace('ID', id));
      expect(await findBarriers(page)).toEqual([]);
      expect(await page.title()).not.toContain('owned');
      await page.setViewportSize({ width: 320, height: 640 });
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(sideways).toBeLessThanOrEqual(0);
      await page.setViewportSize({ width: 1280, height: 800 });
      expect(complaints).toEqual([]);
    },
  );

  it('has dialogs without a barrier', async () => {
    const { page, open, complaints } = alex;
    await open('/');
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Help and keys' }).waitFor();
    expect(await findBarriers(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('covers nothing that has the focus, on a small screen', async () => {
    const { page } = await b.visit('alex', {
      path: `/requests/${id}`,
      viewport: { width: 320, height: 640 },
    });
    await page.getByRole('region', { name: 'Decide' }).waitFor();
    for (let step = 0; step < 25; step += 1) {
      await page.keyboard.press('Tab');
      expect(await page.evaluate(coveredFocus)).toBeNull();
    }
  });

  it('would be seen to break the policy: without its mark, the library adds a style, and that is refused', async () => {
    const { page, open, complaints } = await b.visit('alex');
    await page.route('**/requests', async (route) => {
      const answer = await route.fetch();
      const text = await answer.text();
      await route.fulfill({ response: answer, body: text.replaceAll('react-aria-pressable-style', 'else') });
    });
    await open('/requests');
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    expect(complaints.join()).toContain('style-src');
  });

  it('begins with little JavaScript', () => {
    const manifest = JSON.parse(readFileSync(join(CONSOLE, CONSOLE_MANIFEST), 'utf8')) as Record<
      string,
      { file: string; imports?: string[]; isEntry?: boolean }
    >;
    const files = new Set<string>();
    const add = (name: string) => {
      const chunk = manifest[name];
      if (chunk === undefined || files.has(chunk.file)) return;
      files.add(chunk.file);
      chunk.imports?.forEach(add);
    };
    Object.keys(manifest)
      .filter((name) => manifest[name]?.isEntry === true)
      .forEach(add);
    const bytes = [...files].reduce(
      (sum, file) => sum + gzipSync(readFileSync(join(CONSOLE, file))).length,
      0,
    );
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThan(FIRST_VIEW_BYTES);
  });

  it('has nothing inline in what is built', () => {
    const page = readFileSync(join(CONSOLE, 'index.html'), 'utf8');
    expect(page).toContain('<script type="module"');
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|data:|<script(?![^>]*\ssrc=)/);
  });
});

/** In the page: what lies above the middle of the focused element, unless it belongs to it. */
function coveredFocus(): string | null {
  const focused = document.activeElement;
  if (focused === null || focused === document.body) return null;
  const { left, top, width, height } = focused.getBoundingClientRect();
  if (width <= 1 || height <= 1) return null;
  const above = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 12));
  if (above === null || focused.contains(above) || above.contains(focused)) return null;
  // A label that lies above its field is part of it.
  if (above.closest('label') !== null || above.closest('li')?.contains(focused) === true) return null;
  return `${focused.outerHTML.slice(0, 100)} below ${above.outerHTML.slice(0, 100)}`;
}
