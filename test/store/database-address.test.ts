import { describe, expect, it } from 'vitest';
import { shownDatabase } from '../../src/store/database-address.ts';

describe('the address of a database', () => {
  it.each([
    'postgres://user:9/abc@host/db',
    'postgres://user:9#abc@host/db',
    'postgres://user:9?abc@host/db',
    'postgres://user:9@abc/def@host/db',
    'postgres://user:9@abc?def@host/db',
    'postgres://user:abc/def@host/db',
    'POSTGRESQL://user:9/a\nbc@host/db',
  ])('shows nothing of the password in %j', (address) => {
    expect(shownDatabase(address)).toBe('postgres://…');
  });

  it.each([
    ['postgres://user:secret@host:5433/db?sslmode=verify-full', 'postgres://host:5433/db'],
    ['postgres://user:se@cret@host/db', 'postgres://host/db'],
    ['postgres://host/db', 'postgres://host/db'],
    ['countersign@home.db', 'countersign@home.db'],
  ])('%s is shown as %s', (address, shown) => {
    expect(shownDatabase(address)).toBe(shown);
  });
});
