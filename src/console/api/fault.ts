import type { FieldFault, Gate } from '../../errors.ts';
import type { ProblemDocument } from '../../http/problem.ts';

/** A refusal of the broker as its problem document says it, or the lack of an answer. */
export class Fault extends Error {
  readonly code: string;
  readonly status: number;
  readonly gates: readonly Gate[];
  readonly errors: readonly FieldFault[];
  readonly reasons: readonly { code: string; detail: string }[];
  /** Identifies the request in the broker's log. */
  readonly instance: string | null;
  /** The sign-in that would be enough, if that is what is missing. */
  readonly demand: SignInDemand | null;

  constructor(document: Partial<ProblemDocument> & { detail: string }) {
    super(document.detail);
    this.name = 'Fault';
    this.code = document.code ?? 'unknown';
    this.status = document.status ?? 0;
    this.gates = listOf(document.gates);
    this.errors = listOf(document.errors);
    this.reasons = listOf(document.reasons);
    this.instance = document.instance ?? null;
    this.demand = document.code === 'sign_in_required' ? demandOf(document) : null;
  }

  static unreachable(): Fault {
    return new Fault({
      detail:
        'The broker did not answer. If you sent a change, look at the current state before you send it again. Check your connection.',
    });
  }
}

/** What a sign-in has to be. @see RFC 9470 section 3 */
export interface SignInDemand {
  level: number;
  max_age_s: number | null;
}

/** The refusal in an answer, also where something between here and the broker answered. */
export async function faultOfAnswer(response: Response): Promise<Fault> {
  const document = (await response.json().catch(() => null)) as Partial<ProblemDocument> | null;
  if (document !== null && typeof document.detail === 'string') {
    return new Fault({ ...document, detail: document.detail });
  }
  return new Fault({
    status: response.status,
    detail: `The answer was ${response.status} without a reason, so it may not come from the broker. Try again, or ask who runs the proxy.`,
  });
}

function listOf<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function demandOf({ level, max_age_s }: Partial<ProblemDocument>): SignInDemand {
  return {
    level: typeof level === 'number' ? level : 2,
    max_age_s: typeof max_age_s === 'number' ? max_age_s : null,
  };
}
