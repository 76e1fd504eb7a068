import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { parse } from './body.ts';
import { anyQuery } from './route.ts';

/** A whole number as a query writes it. */
const INTEGER = /^-?(?:0|[1-9]\d{0,15})$/;

/**
 * Parses a query string. Every value is text there, so each one is read as the first of these that its schema accepts: the
 * text, a whole number, `true` or `false`, a list separated by commas. Repeated and unknown parameters are refused, unless
 * the route ignores all.
 *
 * @param query as parsed by the router: a string, or an array for a repeated parameter
 * @throws BrokerError `invalid_request`
 */
export function parseQuery(schema: z.ZodObject, query: object): Record<string, unknown> {
  if (schema === anyQuery) return {};
  const repeated = Object.keys(query).filter((name) =>
    Array.isArray((query as Record<string, unknown>)[name]),
  );
  if (repeated.length > 0) {
    throw new BrokerError('invalid_request', 'The query has a parameter more than once.', {
      errors: repeated.map((name) => ({
        pointer: `#/${name}`,
        detail: 'send it once; a list is separated by commas',
      })),
    });
  }
  const read = Object.entries(query).map(([name, value]) => [
    name,
    readValue(Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined, value),
  ]);
  return parse(schema, Object.fromEntries(read), 'The query') as Record<string, unknown>;
}

function readValue(schema: z.core.$ZodType | undefined, value: unknown): unknown {
  if (schema === undefined || typeof value !== 'string') return value;
  const list = value.split(',');
  const readings: unknown[] = [value];
  if (INTEGER.test(value)) readings.push(Number(value));
  if (value === 'true' || value === 'false') readings.push(value === 'true');
  readings.push(list);
  const accepted = readings.filter((reading) => (schema as z.ZodType).safeParse(reading).success);
  // A value that is not accepted is reported as what it should be: a number out of range, or a wrong item of a list.
  const wanted = unwrap(schema);
  if (wanted instanceof z.ZodArray) return accepted[0] ?? list;
  return accepted[0] ?? (wanted instanceof z.ZodNumber && INTEGER.test(value) ? Number(value) : value);
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? unwrap(schema.unwrap()) : schema;
}
