import { type Browser, createBrowser } from '../../../fixtures/identity/browser.ts';
import { approveDevice } from '../../../fixtures/identity/sign-in.ts';

/**
 * The people who sit before the terminals of a page, and sign in at the provider's own pages when a command prints the
 * address. They choose a second factor where one is asked for.
 */
export interface People {
  /** Who signs in from now on, where that profile is used. */
  expect(person: string, profile: string): void;
  /** Looks at the screen while a command of that profile runs. */
  look(screen: string, profile: string): void;
  /** Forgets the addresses of the last command. @throws Error if a sign-in went wrong */
  settle(): Promise<void>;
}

/** @param onFailure is called when somebody could not sign in, so that the command does not wait for them */
export function createPeople(onFailure: () => void): People {
  // One browser, which remembers who signed in at the provider.
  const browser = createBrowser();
  const persons = new Map<string, string>();
  const visited = new Set<string>();
  const visits: Promise<void>[] = [];

  const personOf = (profile: string) => {
    const person = persons.get(profile);
    if (person === undefined)
      throw new Error(
        `a sign-in begins, and the page does not say whose: write "# as NAME" beside the command`,
      );
    return person;
  };

  function once(address: string, visit: () => Promise<void>): void {
    if (visited.has(address)) return;
    visited.add(address);
    const done = visit();
    done.catch(onFailure);
    visits.push(done);
  }

  return {
    expect: (person, profile) => persons.set(profile, person),
    look: (screen, profile) => {
      const [, address] = /Sign in with your browser at\s+(http\S+)\s/.exec(screen) ?? [];
      if (address !== undefined) once(address, async () => signInAt(browser, address, personOf(profile)));
      const [, verificationUri, userCode] = /Open (\S+) and enter the code (\S+)\s/.exec(screen) ?? [];
      if (verificationUri !== undefined && userCode !== undefined)
        once(userCode, async () => approveDevice({ verificationUri, userCode, person: personOf(profile) }));
    },
    settle: async () => {
      await Promise.all(visits.splice(0));
    },
  };
}

async function signInAt(browser: Browser, address: string, person: string): Promise<void> {
  let page = await browser.visit(address);
  // The provider may remember somebody, and ask nothing.
  if (page.url.pathname.startsWith('/interaction/')) {
    const isAsked = page.text.includes('second factor is asked for');
    page = await browser.visit(page.url, { person, ...(isAsked ? { mfa: 'yes' } : {}) });
  }
  // A page that sends its form by itself: the provider ends the session of whom it remembered.
  const [, action] = /<form method="post" action="([^"]+)">/.exec(page.text) ?? [];
  if (action !== undefined && page.text.includes('document.forms[0].submit()')) {
    const inputs = page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g);
    const form = Object.fromEntries([...inputs].map(([, name = '', value = '']) => [name, value]));
    page = await browser.visit(action, form);
  }
  if (page.url.pathname === '/cb' && page.status === 200) return;
  throw new Error(`the sign-in of ${person} stopped at ${page.url.href} (${page.status})`);
}
