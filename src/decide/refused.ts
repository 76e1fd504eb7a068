import { BrokerError, type ProblemCode, type ProblemFields } from '../errors.ts';

/**
 * A refusal that was decided. It is a value and not an error: the transaction that its record is in commits, and only
 * then {@link toError} leaves for the caller. A fault (a malformed change, an unknown id) is a thrown `BrokerError`
 * instead, and undoes everything. The compiler keeps the two apart.
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

  /** The refusal of something that was allowed, and cannot be done for this reason. The decision stays recorded. */
  static because({ code, message, fields }: BrokerError, decisionId: string): Refused {
    return new Refused(code, message, { ...fields, decision_id: decisionId });
  }

  /** As callers see it. */
  toError(): BrokerError {
    return new BrokerError(this.code, this.detail, this.fields);
  }
}
