import { describe, expect, it } from 'vitest';
import { createLog } from '../src/logger.ts';

/** What the log writes for some fields. */
function written(fields: Record<string, unknown>): string {
  const lines: string[] = [];
  createLog('trace', { write: (line: string) => lines.push(line) }).warn(fields, 'message');
  return lines.join('');
}

describe('the log', () => {
  const names = [
    'authorization',
    'cookie',
    'set-cookie',
    'x-api-key',
    'token',
    'subject_token',
    'access_token',
    'id_token',
  ];

  it.each(names)('never writes a field called %s, at the top or up to two levels down', (name) => {
    for (const fields of [
      { [name]: 'hunter2' },
      { req: { [name]: 'hunter2' } },
      { req: { headers: { [name]: 'hunter2' } } },
    ]) {
      expect(written(fields)).not.toContain('hunter2');
      expect(written(fields)).toContain('[redacted]');
    }
  });

  it('writes everything else as it is', () => {
    expect(JSON.parse(written({ request_id: 'r', code: 'not_found' }))).toMatchObject({
      request_id: 'r',
      code: 'not_found',
      msg: 'message',
    });
  });
});
