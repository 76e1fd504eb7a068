import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type IdentityProvider, startIdentityProvider } from '../../fixtures/identity/provider.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, propose, readRequest, TICKET } from '../support/flags.ts';
import { CTRL_C, loadTerminal, type Shell, startShell, TAB } from '../support/terminal.ts';
import { INSTALL_MS } from '../support/tools.ts';
import { bindGroupsOf, issuerOf, signsIn } from './sign-in-support.ts';

/* The command line in a real terminal, started by a real shell. */

// Each command is a process of its own. What does not show fails with the screen, long before.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 180_000 });

let folder: string;
let shell: Shell | null = null;

beforeAll(loadTerminal, INSTALL_MS);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-terminal-'));
});
afterEach(async () => {
  await shell?.close();
  shell = null;
  await rm(folder, { recursive: true, force: true });
});

async function open(options: Parameters<typeof startShell>[1] = {}): Promise<Shell> {
  shell = await startShell(folder, options);
  return shell;
}

/** Asserts that the terminal is as a shell leaves it: it shows what is typed, and takes lines. */
async function expectRestored(at: Shell): Promise<void> {
  const { lines } = await at.run('stty -a | grep -oE -- "-?(icanon|echo|isig)\\b" | sort | xargs');
  // Bash reads its own lines without them, and gives them back to each program.
  expect(lines).toEqual(['echo icanon isig']);
}

describe('questions in a terminal', () => {
  it('init asks, takes answers and defaults, and writes the set-up', async () => {
    // Wide enough for each question.
    const at = await open({ columns: 120 });
    at.type('countersign init setup\r');
    await at.until(/Identity provider .*:$/);
    at.type('https://login.example.com\r');
    await at.until(/Client id .*:$/);
    at.type('countersign-cli\r');
    for (const role of ['flag-deployer', 'flag-approver', 'security-approver']) {
      await at.until(new RegExp(`\\[${role}\\]:$`));
      at.type(`${role}s\r`);
    }
    for (const role of ['account-approver', 'flag-emergency-override', 'flag-auditor', 'policy-maintainer']) {
      await at.until(new RegExp(`\\[${role}\\]:$`));
      at.type('\r');
    }
    await at.until(/\[0\]>$/);
    expect(at.lines().join('\n')).toMatch(/^ {4}flag-deployers +proposes changes \(flag-deployer\)$/m);
    expect(await readdir(join(folder, 'setup'))).toContain('countersign.yaml');
    await expectRestored(at);
  });

  it.each([
    ['at the first question', []],
    ['at a later question', ['https://login.example.com\r']],
  ])(
    'Ctrl-C %s ends with the status of an interrupt, in one line, and writes nothing',
    async (_when, answers) => {
      const at = await open();
      at.type('countersign init setup\r');
      await at.until(/Identity provider .*:$/);
      for (const answer of answers) {
        at.type(answer);
        await at.until(/Client id .*:$/);
      }
      at.type(CTRL_C);
      await at.until(/\[130\]>$/);
      expect(at.lines().join('\n')).not.toMatch(/Error|internal|^ +at /im);
      expect(await readdir(folder)).not.toContain('setup');
      await expectRestored(at);
    },
  );

  it('the end of the input is an empty answer', async () => {
    const at = await open();
    at.type('countersign init setup\r');
    await at.until(/Identity provider .*:$/);
    at.type('\u0004');
    await at.until(/Name the identity provider with --issuer URL\.(?:.|\n)*\[2\]>$/);
    await expectRestored(at);
  });
});

describe('a broker in a terminal', () => {
  it('stops at Ctrl-C after what is in flight', async () => {
    const at = await open({ env: { COUNTERSIGN_PORT: '0' } });
    await at.run(
      'countersign init setup --issuer https://login.example.com --client-id x >init.txt && cd setup',
    );
    at.type('countersign serve >log.txt\r');
    await at.until(/listening +http/);
    at.type(CTRL_C);
    await at.until(/stopped\n\[0\]>$/);
    await expectRestored(at);
  });
});

describe('people at a broker, in a terminal', () => {
  let provider: IdentityProvider;
  let t: TestBroker;
  beforeAll(async () => {
    provider = await startIdentityProvider();
    t = await startTestBroker({
      config: ({ issuers }) => ({ issuers: [...(issuers as object[]), issuerOf(provider, 'idp')] }),
      editData: (data) => bindGroupsOf(data, provider.issuer),
    });
    await createFlag(t, 'payouts', { tier: 'high-risk' });
    // The provider has the clock of the machine.
    t.clock.follow();
  });
  afterAll(async () => {
    await t.close();
    await provider.close();
  });

  /** Opens the address that the command prints, and signs in there. */
  async function signInAt(at: Shell, from: number, form: Record<string, string>): Promise<void> {
    // The address wraps on the screen, so it is read from what was written.
    const [, address = ''] = await at.untilWritten(/Sign in with your browser at\s+(http\S+)\s/, from);
    const person = signsIn(form);
    person.openBrowser(new URL(address));
    await person.came;
  }

  it('a person signs in, is asked before an approval, and signs in stronger where that is required', async () => {
    const at = await open({ columns: 100, env: { COUNTERSIGN_URL: t.url } });
    at.type('countersign login --issuer idp --no-browser\r');
    await signInAt(at, 0, { person: 'alex' });
    await at.until(/Signed in to (?:.|\n)*\[0\]>$/);

    const { body } = await propose(t, [{ action: 'enable', flag: 'payouts' }], { ticket: TICKET });
    at.type(`clear; countersign approve ${body.id}\r`);
    await at.until(/approve this\? \[y\/N\]$/);
    at.type('n\r');
    await at.until(/You did not confirm(?:.|\n)*\[1\]>$/);
    at.type(`clear; countersign approve ${body.id}\r`);
    await at.until(/approve this\? \[y\/N\]$/);
    at.type(CTRL_C);
    await at.until(/\[130\]>$/);
    expect((await readRequest(t, body.id)).approvals).toEqual([]);

    const from = at.raw().length;
    at.type(`clear; countersign approve ${body.id}\r`);
    await at.until(/approve this\? \[y\/N\]$/);
    at.type('y\r');
    await at.until(/A new sign-in is required/);
    await signInAt(at, from, { person: 'alex', mfa: 'yes' });
    await at.until(/\[0\]>$/);
    expect((await readRequest(t, body.id)).approvals).toMatchObject([{ person: 'emp-1002' }]);
    await expectRestored(at);
  });

  // Whatever the environment says of colours.
  it.each([
    [60, { NO_COLOR: '1' }],
    [80, {}],
    [200, { FORCE_COLOR: '1' }],
  ])('tables fit a terminal of %i columns, without colours, with %o', async (columns, colours) => {
    await propose(t, [{ action: 'enable', flag: 'payouts' }], { ticket: TICKET });
    const token = await t.people.idToken('avery');
    const at = await open({ columns, env: { COUNTERSIGN_URL: t.url, COUNTERSIGN_TOKEN: token, ...colours } });
    for (const command of [
      'flags --environment production',
      'list',
      'decisions',
      'keys list',
      'policy history',
      'sessions list',
    ]) {
      const before = at.wrapped().length;
      const { status, lines } = await at.run(`countersign ${command}`);
      expect([command, status, at.wrapped().slice(before)]).toEqual([command, 0, []]);
      expect(lines.length, command).toBeGreaterThan(0);
    }
    // The shell tells the terminal that it takes pasted text, and nothing else comes with an escape.
    const escapes = at.raw().split('\u001b').slice(1);
    expect(escapes.filter((text) => !/^\[\?2004[hl]/.test(text))).toEqual([]);
  });
});

describe('completion in a terminal', () => {
  const SESSIONS: readonly [typed: string, shows: RegExp][] = [
    [`countersign poli${TAB}`, />\s*countersign policy$/],
    [`countersign policy add-b${TAB}`, />\s*countersign policy add-binding$/],
    [`countersign propose --envir${TAB}`, />\s*countersign propose --environment$/],
    [`countersign access list --capability appr${TAB}`, />\s*countersign access list --capability approve$/],
    [
      `countersign policy add-${TAB}${TAB}`,
      /add-binding +add-trust-rule +add-window\s+\S+ countersign policy add-$/,
    ],
    // A file, where the command takes one.
    [`countersign propose --file ./bi${TAB}`, />\s*countersign propose --file \.\/bin\/?$/],
  ];

  it('in bash fills in commands, options, choices and files', async () => {
    const at = await open({ columns: 120 });
    await at.run('source <(countersign completion bash)');
    const { lines } = await at.run('complete -p countersign');
    expect(lines).toEqual(['complete -o default -F _countersign countersign']);
    for (const [typed, shows] of SESSIONS) {
      at.type(typed);
      await at.until(shows);
      await at.abandonLine();
    }
  });
});
