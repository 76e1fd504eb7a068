import { readFileSync } from 'node:fs';
import { type DecidedRow, type Row, reading } from './rows.ts';

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

/** Reads what was kept of {@link readTemplates}. */
export function readTemplateFile(file: string): Templates {
  return JSON.parse(readFileSync(file, 'utf8')) as Templates;
}

/** Reads the row of a request. */
export function readRequest(database: string, id: unknown): Row {
  return reading(database, (written) => written.request(id));
}

/** Reads back what one toggle and one cycle (propose, approve, apply) wrote. */
export function readTemplates(
  database: string,
  { toggle, propose, approve, apply }: { toggle: Sample; propose: Sample; approve: Sample; apply: Sample },
): Templates {
  return reading(database, (written) => {
    const stateOf = ({ answer }: Sample) => written.state(answer.id);
    const toggled = written.decided(toggle.answer.id).map(toStep);
    const cycled = written.decided(propose.answer.id).map(toStep);
    const exchanged = written.lastDecided('token.exchange');
    if (exchanged === undefined) throw new Error('no token was exchanged');
    return {
      toggle: { ...toggle, steps: toggled, vote: null, state: stateOf(toggle) },
      propose: { ...propose, steps: cycled.slice(0, 1), vote: null, state: null },
      // Approving takes two decisions: whether this person may, and whether it may be applied now.
      approve: { ...approve, steps: cycled.slice(1, 3), vote: written.vote(propose.answer.id), state: null },
      apply: { ...apply, steps: cycled.slice(3), vote: null, state: stateOf(apply) },
      exchange: toStep(exchanged),
    };
  });
}

function toStep({ leaf, effects, place: _, ...detailsRow }: DecidedRow): StepTemplate {
  const { input, result } = detailsRow;
  const parsed = JSON.parse(result) as { effect: string };
  return {
    input: JSON.parse(input) as StepTemplate['input'],
    effect: parsed.effect,
    result: parsed,
    detailsRow,
    details: JSON.parse(detailsRow.details) as object,
    leaf: JSON.parse(leaf) as object,
    effects,
  };
}
