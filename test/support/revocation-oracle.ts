import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import type { LogEntry } from './log-oracle.ts';
import type { RevocationRow, StoreRows } from './sqlite/rows.ts';
import type { WireInput, WirePrincipal, WireRevocation } from './wire.ts';

/*
 * What the log says of who is revoked, computed in another way than the broker does: by walking the records in their
 * order, with one plain list of what holds.
 */

/** Something that holds from one record on. */
interface Held extends WireRevocation {
  /** The human behind a revoked account, where one is known. */
  person: string | null;
  cause: 'incident' | 'provisioning' | 'logout' | 'holder';
  at_ms?: number;
}

/** Who said or wrote something, and by what. */
export interface Holder extends Pick<WirePrincipal, 'id' | 'kind' | 'person' | 'issuer'> {
  trust_rule: string | null;
  act?: readonly string[] | undefined;
  issued_ms: number;
  token: string | null;
  session: string | null;
  origins: readonly string[];
}

/** A part of a request. */
type Part = Holder & { at_ms: number };

/** Walks the log once. */
export interface RevocationOracle {
  /** The one name of a person. */
  personOf(person: string): string;
  /** What is wrong with a record, by what holds before it. */
  faultsOf(entry: LogEntry): string[];
  /** Takes a record in. @returns whether a vote that was cast before is void from then on */
  take(entry: LogEntry): (by: Holder) => boolean;
}

const WRITINGS = new Set(['request.propose', 'request.edit', 'request.schedule']);

/** What an agent does not do, whoever it acts for. */
const NOT_FOR_AGENTS =
  /^(request\.(approve|reject)|freeze\.engage|breakglass\..*|agent\.delegate|session\..*|revocation\.(add|drill)|principal\.(disable|enable)|key\.rotate)$/;

/** Starts before the first record. */
export async function startRevocationOracle(
  { bundle, revocations }: StoreRows,
  log: readonly LogEntry[],
): Promise<RevocationOracle> {
  const personOf = await readPersonNames(bundle);
  const logouts = findLogouts(revocations, log);
  const accounts = findAccounts(revocations);
  const parts = new Map<string, Part[]>();
  let held: Held[] = [];

  const isSame = (one: Held, other: WireRevocation) =>
    one.kind === other.kind &&
    one.value === other.value &&
    one.issued_before_ms === other.issued_before_ms &&
    one.incident === other.incident;

  const isNamed = ({ kind, value }: Held, who: Holder): boolean => {
    switch (kind) {
      case 'subject':
        return [who.id, ...(who.act ?? []), ...(who.person === null ? [] : [personOf(who.person)])].includes(
          value,
        );
      case 'issuer':
        return who.issuer === value;
      case 'trust_rule':
        return who.trust_rule === value;
      case 'class':
        return value === 'all' || value === who.kind;
      case 'session':
        return [who.token, who.session, ...who.origins].includes(value);
      case 'token':
        return [who.token, ...who.origins].some((token) => token !== null && value.endsWith(`#${token}`));
      default:
        return false;
    }
  };
  const hits = (one: Held, who: Holder) =>
    isNamed(one, who) && (one.issued_before_ms === null || who.issued_ms < one.issued_before_ms);
  const holdsBack = ({ issued_before_ms, cause }: Held) => issued_before_ms === null || cause === 'logout';

  const isLost = (who: Part) =>
    held.some((one) => {
      if (one.cause !== 'incident') return false;
      if (one.kind === 'key') return who.kind !== 'person' && who.at_ms < (one.at_ms ?? 0);
      // An agent shows the credentials of a person and of a workload.
      const kinds = who.kind === 'agent' ? (['person', 'workload', 'agent'] as const) : [who.kind];
      return kinds.some((kind) => hits(one, { ...who, kind }));
    });
  const isOf = (who: Part, human: Part) =>
    who.id === human.id ||
    (human.kind === 'person' &&
      who.person !== null &&
      human.person !== null &&
      personOf(who.person) === personOf(human.person));
  /** Whether a part was written with what was then revoked, and nothing with anything else came after it. */
  const isUnconfirmed = (written: readonly Part[]) =>
    written.some(
      (who, index) =>
        isLost(who) && !written.slice(index + 1).some((later) => isOf(who, later) && !isLost(later)),
    );

  /** Whether somebody who wrote part of a request is out, and not back. */
  const isParked = ({ request, input }: LogEntry): boolean => {
    if (input.request === null) return false;
    const { proposer, authors } = input.request;
    const written = parts.get(request?.id ?? '') ?? [];
    const writers = [holderOf(proposer), ...written];
    const persons = [...authors, ...(proposer.person === null ? [] : [proposer.person])].map(personOf);
    if (isUnconfirmed(written)) return true;
    return held.filter(holdsBack).some((one) => {
      const named =
        one.kind === 'subject' && (persons.includes(one.value) || persons.includes(one.person ?? ''));
      const isPrincipal = ['subject', 'issuer', 'trust_rule'].includes(one.kind);
      return named || (isPrincipal && writers.some((who) => isNamed(one, who)));
    });
  };

  return {
    personOf,
    faultsOf: (entry) => {
      const { place, operation, input, result, request } = entry;
      const who = holderOfEntry(entry);
      const faults: string[] = [];
      const out = who.token === null ? undefined : held.find((one) => hits(one, who));
      if (out !== undefined)
        faults.push(`${place}: ${who.id} did ${operation}, revoked by ${out.kind} ${out.value}`);
      const parked = isParked(entry);
      if (input.request !== null && parked !== (input.request.parked === true))
        faults.push(`${place}: ${request?.id} is ${parked ? '' : 'not '}parked, and was decided otherwise`);
      if (parked && request?.to === 'applied')
        faults.push(`${place}: ${request.id} was applied while parked`);
      if (who.kind === 'agent' && result.effect === 'allow') {
        if (NOT_FOR_AGENTS.test(operation)) faults.push(`${place}: an agent did ${operation}`);
        if (who.person === null || !who.act?.length) faults.push(`${place}: an agent acts for nobody`);
      }
      return faults;
    },
    take: (entry) => {
      const { place, operation, input, result, request } = entry;
      const who = holderOfEntry(entry);
      const fresh: Held[] = [];
      const { revocation } = input;
      if (WRITINGS.has(operation) && result.effect !== 'deny' && request !== null)
        parts.set(request.id, [...(parts.get(request.id) ?? []), { ...who, at_ms: entry.at_ms }]);
      if (result.effect === 'allow' && revocation !== undefined) {
        const person = accounts.get(`${revocation.kind} ${revocation.value}`) ?? null;
        // Any other note says why what was allowed was not done.
        const isDone = entry.outcome.note?.code === 'revocation';
        if (operation === 'revocation.add' && isDone)
          fresh.push({ ...revocation, person, cause: 'incident', at_ms: entry.at_ms });
        if (operation === 'principal.disable' || operation === 'principal.enable')
          held = held.filter(({ cause, value }) => cause !== 'provisioning' || value !== revocation.value);
        if (operation === 'principal.disable') fresh.push({ ...revocation, person, cause: 'provisioning' });
      }
      if (operation === 'token.revoke' && result.effect === 'allow' && who.token !== null)
        held.push({ ...NOTHING, kind: 'token', value: `#${who.token}`, cause: 'holder' });
      if (entry.outcome.note?.code === 'returned')
        held = held.filter(({ cause, value }) => cause !== 'logout' || value !== who.id);
      const lifted = request?.to === 'applied' ? liftedBy(input.request) : undefined;
      if (lifted !== undefined) {
        const index = held.findIndex((one) => isSame(one, lifted));
        held = held.filter((_, other) => other !== index);
      }
      fresh.push(...(logouts.get(place) ?? []));
      held.push(...fresh);
      return (by) => fresh.some((one) => hits(one, by));
    },
  };
}

const NOTHING = { issued_before_ms: null, incident: '', person: null } as const;

function holderOf({ id, kind, person, issuer, act, token }: WirePrincipal): Holder {
  const { trust_rule, issued_ms = Number.POSITIVE_INFINITY } = token;
  return { id, kind, person, issuer, act, trust_rule, issued_ms, token: null, session: null, origins: [] };
}

/** Who made a record, by what they showed. */
export function holderOfEntry({ input, correlation }: LogEntry): Holder {
  const { token, session = null, origins = [] } = correlation;
  return { ...holderOf(input.principal), token, session, origins };
}

/** The revocation that a request lifts, in either version of the input document. */
function liftedBy(request: WireInput['request']): WireRevocation | undefined {
  return request?.object?.type === 'revocation' ? request.object : request?.revocation;
}

const knownPersons = new Map<string, ReadonlyMap<string, string>>();

/** Under which one name the policy's data has each human. */
async function readPersonNames(bundle: StoreRows['bundle']): Promise<(person: string) => string> {
  if (bundle === null) return (person) => person.toLowerCase();
  const persons = knownPersons.get(bundle.hash) ?? (await readPersons(bundle.archive));
  knownPersons.set(bundle.hash, persons);
  return (person) => persons.get(person.toLowerCase()) ?? person.toLowerCase();
}

async function readPersons(archive: Buffer): Promise<Map<string, string>> {
  const reader = extract();
  reader.end(gunzipSync(archive));
  let text = '{}';
  for await (const entry of reader) {
    const bytes = await buffer(entry);
    if (/^\.?\/?data\.json$/.test(entry.header.name)) text = bytes.toString('utf8');
  }
  const { config } = JSON.parse(text) as { config?: { persons?: Record<string, string> } };
  const named = Object.entries(config?.persons ?? {});
  return new Map(named.map(([alias, person]) => [alias.toLowerCase(), person.toLowerCase()]));
}

/** A provider's logout is no decision about a revocation: the record before it is that of the session it ended. */
function findLogouts(rows: readonly RevocationRow[], log: readonly LogEntry[]): Map<number, Held[]> {
  const byPlace = new Map<number, Held[]>();
  for (const { kind, value, issued_before_ms, cause, incident, person, created_ms } of rows) {
    if (cause !== 'logout' || kind !== 'subject') continue;
    const entry = log.findLast(
      (one) =>
        one.operation === 'session.end' && one.at_ms === created_ms && one.input.principal.id === value,
    );
    const one: Held = { kind, value, issued_before_ms, incident, person, cause };
    if (entry !== undefined) byPlace.set(entry.place, [...(byPlace.get(entry.place) ?? []), one]);
  }
  return byPlace;
}

/** The humans behind revoked accounts. */
function findAccounts(rows: readonly RevocationRow[]): Map<string, string> {
  return new Map(
    rows.flatMap(({ kind, value, person }) => (person === null ? [] : [[`${kind} ${value}`, person]])),
  );
}
