import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ProjectAnswers } from '../author/project-data.ts';
import type { Provider } from '../author/providers.ts';

/*
 * The texts of a new set-up.
 */

/** What a new set-up has to know. */
export interface SetupAnswers extends Omit<ProjectAnswers, 'broker' | 'repository' | 'aliases'> {
  provider: Provider;
  /** The client of the command line at the identity provider. */
  clientId: string;
  /** What some providers demand of it, although it is no secret. */
  clientSecret: string | null;
  /** The claim with a person's groups. */
  groupsClaim: string;
  /** The origin at which others reach the broker. */
  url: string;
}

/** The key of the issuer in the ids of people. */
const ISSUER_KEY = 'company';
const DEFAULT_PORT = 8480;

/** The configuration. */
export function configurationText(answers: SetupAnswers, bundle: string): string {
  const { url } = answers;
  const { hostname, port, protocol } = new URL(url);
  const isHere = protocol === 'http:';
  const listen = {
    host: isHere ? hostname.replace(/^\[(.*)\]$/, '$1') : '127.0.0.1',
    port: isHere ? Number(port || 80) : DEFAULT_PORT,
  };
  const text = (value: unknown) => stringify(value, { lineWidth: 0, flowCollectionPadding: false });
  return [
    '# The configuration of Countersign. docs/configuration.md describes every key.',
    '# Relative paths start at the folder of this file.',
    text({ listen }).trimEnd(),
    ...(isHere
      ? ['# Where others reach it: an https address of a proxy in front of it, before anybody else uses it.']
      : []),
    text({ public_url: url, database: 'countersign.db' }).trimEnd(),
    '# Activated by the first start. Later it changes by request: countersign policy --help',
    text({ policy_bundle: bundle }).trimEnd(),
    '# Your identity provider. `web` adds the sign-in by browser; `levels` says which sign-ins are strong.',
    ...answers.provider.advice.map((line) => `# ${line}`),
    text({ issuers: [issuerOf(answers)] }).trimEnd(),
    '',
  ].join('\n');
}

/** The identity provider, as the configuration names it: only what is not the default. */
function issuerOf({ issuer, provider, clientId, clientSecret, groupsClaim, bindBy }: SetupAnswers): object {
  const scope = provider.scope?.(new URL(issuer));
  const login = {
    client_id: clientId,
    ...(scope === undefined ? {} : { scope }),
    ...(provider.redirectPort === undefined ? {} : { redirect_port: provider.redirectPort }),
    ...(clientSecret === null ? {} : { client_secret: clientSecret }),
  };
  return {
    key: ISSUER_KEY,
    issuer,
    ...(issuer.startsWith('http:') ? { allow_insecure_loopback: true } : {}),
    ...(provider.jwksUri === undefined ? {} : { jwks_uri: provider.jwksUri }),
    audience: [clientId],
    claims: {
      ...(provider.person === undefined ? {} : { person: provider.person }),
      ...(bindBy === null ? { groups: groupsClaim } : { pass: [bindBy] }),
    },
    ...(Object.keys(login).length === 1 ? {} : { login }),
  };
}

/** A unit of systemd. @param folder the absolute path of the set-up */
export function serviceText(folder: string): string {
  const main = fileURLToPath(new URL(`../../main${extname(import.meta.url)}`, import.meta.url));
  const command = [process.execPath, main, 'serve', '--config', `${folder}/countersign.yaml`];
  return `[Unit]
Description=Countersign, the broker for feature flags
Wants=network-online.target
After=network-online.target

[Service]
# A user of its own, who may write the folder: useradd --system countersign; chown -R countersign ${folder}
User=countersign
WorkingDirectory=${systemdPath(folder)}
ExecStart=${command.map(systemdWord).join(' ')}
Restart=on-failure
RestartSec=2
# A configuration that cannot be used needs a person.
RestartPreventExitStatus=2
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=read-only
ProtectSystem=strict
ReadWritePaths=${quoted(systemdPath(folder))}

[Install]
WantedBy=multi-user.target
`;
}

/** Percent signs are specifiers, dollar signs variables. */
function systemdWord(word: string): string {
  return quoted(systemdPath(word).replaceAll('$', '$$$$'));
}

/** Of a list, each item that has more than plain characters is quoted. */
function quoted(escaped: string): string {
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/["\\]/g, '\\$&')}"`;
}

function systemdPath(path: string): string {
  return path.replaceAll('%', '%%');
}

/** Two proposals: one that its author can apply alone, and one that a second person must approve. */
export function trialTexts({ environments }: Pick<SetupAnswers, 'environments'>): {
  files: (readonly [string, string])[];
  alone: string | null;
  held: string | null;
} {
  const of = (kind: string) => [...environments].find(([, each]) => each === kind)?.[0];
  const development = of('development') ?? of('staging');
  const production = of('production');
  const files: (readonly [string, string])[] = [];
  if (development !== undefined)
    files.push(['first-flag.yaml', proposal(development, 'first-flag', 'informational')]);
  if (production !== undefined)
    files.push(['production-flag.yaml', proposal(production, 'production-flag', 'operational')]);
  return {
    files,
    alone: development === undefined ? null : 'first-flag.yaml',
    held: production === undefined ? null : 'production-flag.yaml',
  };
}

function proposal(environment: string, flag: string, tier: string): string {
  const definition = {
    namespace: 'trial',
    kind: 'release',
    tier,
    owner: 'whoever tries Countersign',
    purpose: 'To see how a flag comes to be.',
    variants: { on: true, off: false },
    retirement: 'When it has been seen.',
  };
  return stringify({
    environment,
    reason: 'to try it',
    changes: [
      { action: 'create', flag, definition },
      { action: 'enable', flag },
    ],
  });
}
