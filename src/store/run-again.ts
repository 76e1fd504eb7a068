/**
 * Thrown inside a write that has met what must be prepared outside of the transaction, such as a policy that is not
 * compiled here yet. The writer undoes the whole batch, awaits `prepare`, and runs the batch again; nobody is answered
 * in between. What `prepare` needs of the state that is then undone MUST be read before this is thrown.
 */
export class RunAgain extends Error {
  /** What is missing; two that need the same have the same. */
  readonly what: string;
  readonly prepare: () => Promise<unknown>;

  constructor(what: string, prepare: () => Promise<unknown>) {
    super('the batch has to run again');
    this.name = 'RunAgain';
    this.what = what;
    this.prepare = prepare;
  }
}
