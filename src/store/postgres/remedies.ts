import type { PostgresFault } from './faults.ts';

/*
 * Why a database on a server cannot be opened, in words for the operator.
 */

/** By the SQLSTATE or the code of the system. */
const REMEDIES: readonly { codes: RegExp; says: string }[] = [
  {
    codes: /^28/,
    says: 'correct the user and the password of its address, or let them in (pg_hba.conf)',
  },
  { codes: /^3D000/, says: 'create the database, or correct the name at the end of its address' },
  {
    codes: /^(?:ECONNREFUSED|ENOENT|ECONNRESET)/,
    says: 'correct the host and the port of its address, and see whether the server runs there',
  },
  { codes: /^(?:ENOTFOUND|EAI_AGAIN)/, says: 'correct the host of its address' },
  {
    codes: /^(?:ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)/,
    says: 'see whether the server runs, and whether a firewall is between',
  },
  {
    codes: /^25006/,
    says: 'name a server and a role that may write (default_transaction_read_only is on)',
  },
  {
    codes: /^42501/,
    says: 'grant the role what a broker needs, with "countersign migrate --database ADDRESS --grant-to ROLE"',
  },
  { codes: /^53300/, says: 'end other sessions, or raise max_connections' },
];

/** The error of a database that cannot be opened, with what to do about it. @param shown the database as it may be shown */
export function unusable(shown: string, fault: PostgresFault): Error {
  const code = codeOf(fault);
  const remedy = REMEDIES.find(({ codes }) => codes.test(code));
  const advice = remedy === undefined ? '' : `: ${remedy.says}`;
  return new Error(`could not open the database ${shown}: ${fault.message}${advice}`, { cause: fault });
}

function codeOf(fault: PostgresFault): string {
  const { code } = (fault.cause ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : fault.code.replace(/^PG_/, '');
}
