import { BrokerError, type ProblemFields } from '../errors.ts';
import type { ProblemCode } from '../problems.ts';

/**
 * A refusal that was decided. It is a value, not an error: the transaction with its record commits first, and then
 * {@link toError} is thrown to the caller. A fault (a malformed change, an unknown id) is a thrown `BrokerError`, which
 * rolls everything back. The type system distinguishes the two.
 */
export class Refused {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly fields: ProblemFields;

  constructor(code: ProblemCode, detail: string, fields: ProblemFields = {}) {
    this.code = code;
    this.detail = detail;
    this.fields = fields;
  }

  /** The refusal of an operation that was allowed but cannot be done. The decision stays recorded. */
  static because({ code, message, fields }: BrokerError, decisionId: string): Refused {
    return new Refused(code, message, { ...fields, decision_id: decisionId });
  }

  /** The error for the caller. */
  toError(): BrokerError {
    return new BrokerError(this.code, this.detail, this.fields);
  }
}
