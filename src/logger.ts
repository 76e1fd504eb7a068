import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { activeTraceId } from './tracing.ts';

/** The structured log: constant messages, values as fields. Log lines are never evidence. */
export type Logger = PinoLogger;

/** Fields that could contain a secret, at any depth (design invariant 12). */
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
  const mixin = () => {
    const trace_id = activeTraceId();
    return trace_id === undefined ? {} : { trace_id };
  };
  const options = { level, base: null, mixin, redact: { paths, censor: '[redacted]' } };
  return destination === undefined ? pino(options) : pino(options, destination);
}
