import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

/*
 * The texts of a new set-up.
 */

/** What a new set-up has to know. */
export interface SetupAnswers {
  /** The identity provider of people: the exact `iss`. */
  issuer: string;
  /** The client of the command line there. */
  clientId: string;
  /** The group of each role; a role without one has a group of its own name. */
  groups: ReadonlyMap<string, string>;
  /** The claim with a person's groups. */
  groupsClaim: string;
  /** Environments, each with its kind. */
  environments: ReadonlyMap<string, string>;
  /** The zone of the change windows. */
  zone: string;
  /** The registry from which pipelines install Countersign. */
  registry: string;
  /** The origin at which others reach the broker. */
  url: string;
}

/** The key of the issuer in the ids of people. */
const ISSUER_KEY = 'company';
const DEFAULT_PORT = 8480;

/** The configuration. */
export function configurationText(answers: SetupAnswers, bundle: string): string {
  const { issuer, clientId, groupsClaim, url } = answers;
  const { hostname, port, protocol } = new URL(url);
  const isHere = protocol === 'http:';
  const listen = {
    host: isHere ? hostname.replace(/^\[(.*)\]$/, '$1') : '127.0.0.1',
    port: isHere ? Number(port || 80) : DEFAULT_PORT,
  };
  const insecure = issuer.startsWith('http:') ? { allow_insecure_loopback: true } : {};
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
    text({
      issuers: [
        { key: ISSUER_KEY, issuer, ...insecure, audience: [clientId], claims: { groups: groupsClaim } },
      ],
    }).trimEnd(),
    '',
  ].join('\n');
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
ReadWritePaths=${systemdPath(folder)}

[Install]
WantedBy=multi-user.target
`;
}

/** Percent signs are specifiers, dollar signs variables. */
function systemdWord(word: string): string {
  const escaped = systemdPath(word).replaceAll('$', '$$$$');
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
