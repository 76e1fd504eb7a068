import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

/** The structured log: message constant, values as fields. A log line is never evidence. */
export type Logger = PinoLogger;

/** Fields that could carry a secret, wherever they stand (design invariant 12). */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'set-cookie',
  'dpop',
  'x-api-key',
  'token',
  'subject_token',
  'access_token',
  'id_token',
];

/** Creates the log. @param level pino level, such as `info` or `silent` */
export function createLog(level: string, destination?: DestinationStream): Logger {
  const paths = SECRET_FIELDS.flatMap((field) => [`["${field}"]`, `*["${field}"]`, `*.*["${field}"]`]);
  const options = { level, base: null, redact: { paths, censor: '[redacted]' } };
  return destination === undefined ? pino(options) : pino(options, destination);
}
