import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { CONSOLE } from '../../tools/console/build.ts';
import { type BenchOptions, type SignInBench, startSignInBench } from '../sessions/support.ts';

const run = promisify(execFile);

/** Where Debian and others have the browser. */
const CHROMIUM = [process.env.COUNTERSIGN_CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path !== '' && existsSync(path),
);

/** Whether there is a browser. Without one, the tests of the console are skipped, and say so. */
export const HAS_BROWSER = CHROMIUM !== undefined;
if (!HAS_BROWSER) {
  process.stderr.write(
    'SKIPPED: the tests of the console need Chromium (apt-get install chromium, or COUNTERSIGN_CHROMIUM=/path).\n',
  );
}

/** The rules of WCAG 2.2 AA that a program can judge. */
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** Somebody at a browser of their own. */
export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** What the policy of the page refused, and what was written to its log as an error. */
  complaints: string[];
  /** Opens a path of the console, and waits for its first heading. */
  open(path: string): Promise<void>;
}

/** A broker with the console and a real identity provider, and one browser for the whole file. */
export interface ConsoleBench extends SignInBench {
  browser: Browser;
  /** Signs a person in with a new browser context, by the pages of the provider. */
  visit(person: string, options?: { mfa?: boolean; path?: string; viewport?: Viewport }): Promise<Visitor>;
  /** A browser in which nobody is signed in. */
  stranger(options?: { viewport?: Viewport }): Promise<Visitor>;
}

interface Viewport {
  width: number;
  height: number;
}

/** Starts all of it. Its pages are at `http://localhost`, which browsers trust as they trust https. */
export async function startConsoleBench(options: BenchOptions = {}): Promise<ConsoleBench> {
  if (CHROMIUM === undefined) throw new Error('there is no browser');
  await run(process.execPath, [fileURLToPath(new URL('../../tools/console/build.ts', import.meta.url))]);
  const [bench, browser] = await Promise.all([
    startSignInBench({
      withTokens: true,
      consoleFolder: CONSOLE,
      ...options,
      config: { listen: { host: 'localhost', port: 0 }, ...options.config },
    }),
    chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }),
  ]);

  // The provider has the clock of the machine.
  bench.t.clock.follow();

  async function stranger({ viewport = { width: 1280, height: 800 } }: { viewport?: Viewport } = {}) {
    const context = await browser.newContext({ viewport, reducedMotion: 'reduce', locale: 'en-GB' });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    const complaints: string[] = [];
    await context.exposeFunction('complain', (text: string) => complaints.push(text));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) => {
        (globalThis as never as { complain(text: string): void }).complain(
          `${violatedDirective} ${blockedURI} ${sample}`,
        );
      });
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    const visitor: Visitor = {
      page,
      context,
      complaints,
      open: async (path) => {
        await page.goto(`${bench.t.url}${path}`);
        await settled(page);
      },
    };
    return visitor;
  }

  return {
    ...bench,
    browser,
    stranger,
    visit: async (person, { mfa = false, path = '/', viewport } = {}) => {
      const visitor = await stranger(viewport === undefined ? {} : { viewport });
      const { page } = visitor;
      await page.goto(
        `${bench.t.url}/auth/sign-in?${new URLSearchParams({ issuer: 'web', return_to: path })}`,
      );
      await signInAsked(page, person, { mfa });
      await page.getByRole('navigation', { name: 'Pages' }).waitFor();
      await settled(page);
      return visitor;
    },
    close: async () => {
      await browser.close();
      await bench.close();
    },
  };
}

/** Waits until the page is there, and nothing of it is still being read. */
async function settled(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor();
  await page.waitForFunction(() => document.querySelector('[data-loading]') === null);
}

/** Chooses a person at the page of the provider. */
export async function signInAsked(page: Page, person: string, { mfa = false } = {}): Promise<void> {
  const name = `Sign in as ${person}${mfa ? ' with a second factor' : ''}`;
  await page.getByRole('button', { name, exact: true }).click();
}

/** What axe finds on a page, each with the elements. */
export async function findBarriers(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(WCAG).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}
