/** A fault in something of a log that was read: a proof, a checkpoint, a tile. The message says what is wrong, and where. */
export class LogFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LogFault';
  }
}

/** A file of a log cannot be read. It may have been replaced by a newer one meanwhile. */
export class UnreadableFile extends LogFault {}
