import Sqlite from 'better-sqlite3';

/**
 * What the product wrote for one call of each kind, read back from its database: the floor writes the same rows, and
 * evaluates the same inputs, with other ids.
 */
export interface Templates {
  toggle: CallTemplate;
  propose: CallTemplate;
  approve: CallTemplate;
  apply: CallTemplate;
  /** The one decision of a token exchange. */
  exchange: StepTemplate;
}

type Row = Record<string, unknown>;

/** One call. */
export interface CallTemplate {
  /** The decisions that it takes, in order. */
  steps: StepTemplate[];
  /** The request's row after it. */
  request: Row;
  /** The vote that it stores, or null. */
  vote: Row | null;
  /** The flag state that it writes, as JSON text, or null. */
  state: string | null;
  /** What it answers. */
  answer: Record<string, unknown>;
}

/** One decision with its record. */
export interface StepTemplate {
  /** A request with its changes, or none for a token exchange. */
  input: { request: { changes: { flag: object }[] } };
  effect: string;
  result: object;
  /** The row of what is readable of it, the same as JSON, the leaf, and what is to be delivered. */
  detailsRow: Row;
  details: object;
  leaf: object;
  effects: string[];
}

/** One answer of the product, with what it had stored then. */
export interface Sample {
  answer: Record<string, unknown>;
  /** The request's row right after the call. */
  request: Row;
}

/** Reads the row of a request. */
export function readRequest(database: string, id: unknown): Row {
  return reading(database, (db) => db.prepare('select * from requests where id = ?').get(id) as Row);
}

/** Reads back what one toggle and one cycle (propose, approve, apply) wrote. */
export function readTemplates(
  database: string,
  samples: { toggle: Sample; propose: Sample; approve: Sample; apply: Sample },
): Templates {
  return reading(database, (db) => {
    const toggled = stepsOf(db, samples.toggle.answer.id);
    const cycled = stepsOf(db, samples.propose.answer.id);
    const vote = db.prepare('select * from votes where request_id = ?').get(samples.propose.answer.id) as Row;
    return {
      toggle: { ...samples.toggle, steps: toggled, vote: null, state: stateOf(db, samples.toggle) },
      propose: { ...samples.propose, steps: cycled.slice(0, 1), vote: null, state: null },
      // Approving takes two decisions: whether this person may, and whether it may be applied now.
      approve: { ...samples.approve, steps: cycled.slice(1, 3), vote, state: null },
      apply: { ...samples.apply, steps: cycled.slice(3), vote: null, state: stateOf(db, samples.apply) },
      exchange: exchangeOf(db),
    };
  });
}

function reading<T>(database: string, work: (db: Sqlite.Database) => T): T {
  const db = new Sqlite(database, { readonly: true });
  try {
    return work(db);
  } finally {
    db.close();
  }
}

type DecidedRow = Row & { place: number; leaf: string; details: string; input: string; result: string };

const DECIDED = 'select record_details.*, leaf from record_details join leaves using (place)';

function stepsOf(db: Sqlite.Database, requestId: unknown): StepTemplate[] {
  const rows = db.prepare(`${DECIDED} where request_id = ? order by place`).all(requestId);
  return (rows as DecidedRow[]).map((row) => toStep(db, row));
}

function exchangeOf(db: Sqlite.Database): StepTemplate {
  const row = db.prepare(`${DECIDED} where operation = 'token.exchange' order by place desc`).get();
  if (row === undefined) throw new Error('no token was exchanged');
  return toStep(db, row as DecidedRow);
}

function toStep(db: Sqlite.Database, { place, leaf, ...detailsRow }: DecidedRow): StepTemplate {
  const { input, result } = detailsRow;
  const parsed = JSON.parse(result) as { effect: string };
  return {
    input: JSON.parse(input) as StepTemplate['input'],
    effect: parsed.effect,
    result: parsed,
    detailsRow,
    details: JSON.parse(detailsRow.details) as object,
    leaf: JSON.parse(leaf) as object,
    effects: db.prepare('select effect from outbox where place = ?').pluck().all(place) as string[],
  };
}

function stateOf(db: Sqlite.Database, { answer }: Sample): string {
  return db
    .prepare('select state from flag_state_versions where request_id = ?')
    .pluck()
    .get(answer.id) as string;
}
