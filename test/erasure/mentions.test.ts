import { describe, expect, it } from 'vitest';
import { mentionsOf } from '../../src/erasure/mentions.ts';

const { isIn, redact } = mentionsOf(['emp-1001', 'dana@x.org', 'dana', '4711', 'person:demo:dana']);

describe('a name', () => {
  it.each([
    'mailto:dana@x.org',
    'cc:emp-1001',
    'https://hr/people/emp-1001',
    'https://hr/people/EMP-1001#left',
    'spiffe://corp/user/emp-1001',
    'repo:o/r:actor:emp-1001',
    'emp-1001/emp-1002',
    'emp-1001:left',
    'CN=emp-1001,OU=ci',
    '{"claims":{"actor":"user:emp-1001"}}',
    'as dana said.',
  ])('is found in %s, and is gone when it is redacted', (text) => {
    expect(isIn(text)).toBe(true);
    expect(redact(text, 'erased:p')).not.toMatch(/emp-1001|dana/i);
  });

  it.each([
    'emp-10011',
    'temp-1001',
    'x.emp-1001',
    'emp-1001.example',
    'bob+dana@x.org',
    'dana@x.org.uk',
    'person:other:dana',
    'person:other:emp-1001',
    'https://forge/issues/4711',
    'person:demo:dana-alt',
  ])('is not found in %s, which is something else', (text) => {
    expect(isIn(text)).toBe(false);
  });
});
