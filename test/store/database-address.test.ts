import { describe, expect, it } from 'vitest';
import { addressFault, shownDatabase } from '../../src/store/database-address.ts';

describe('the address of a database', () => {
  it.each([
    'postgres://user:9/abc@host/db',
    'postgres://user:9#abc@host/db',
    'postgres://user:9?abc@host/db',
    'postgres://user:9@abc/def@host/db',
    'postgres://user:9@abc?def@host/db',
    'postgres://user:abc/def@host/db',
    'POSTGRESQL://user:9/a\nbc@host/db',
    'postgres://user:9/a://x@host/db',
    'postgres://user:9?://x@host/db',
    'postgres://user:9?a=b@host/db',
    'postgres://user:9#?application_name=b@host/db',
    'postgres://user:9@abc?sslmode=require&x@host/db',
  ])('shows nothing of the password in %j, and cannot be used', (address) => {
    expect(shownDatabase(address)).toBe('postgres://…');
    expect(addressFault(address)).toMatch(/percent-encode .*\/ is %2F, @ is %40/);
  });

  it.each([
    ['postgres://user:se@cret@host/db', true],
    ['postgres://user:100%@host/db', true],
    ['postgres://user:secret@host:port/db', true],
    ['postgres://user:%2F%40%23%3F%25@host:5433/db?sslmode=verify-full', false],
    ['postgres://user@%2Frun%2Fpostgresql/db', false],
    ['postgres://user:secret@host/db?application_name=a@b', false],
    ['postgres://host/db?sslmode=require&user=a@b&options=-c%20x=1', false],
    ['postgres:///db?host=/run/a@b', false],
    ['postgres://user:secret@host/db?sslmode=require#a@b', true],
    ['postgres://user:5432://x@host/db', true],
    ['countersign@home#1.db', false],
  ])('%s has a fault: %s', (address, isFaulty) => {
    expect(addressFault(address) !== null).toBe(isFaulty);
  });

  it.each([
    ['postgres://user:secret@host:5433/db?sslmode=verify-full', 'postgres://host:5433/db'],
    ['postgres://user:se@cret@host/db', 'postgres://host/db'],
    ['postgres://host/db', 'postgres://host/db'],
    ['postgres://host/db?user=a@b&password=se@cret', 'postgres://…'],
    ['countersign@home.db', 'countersign@home.db'],
  ])('%s is shown as %s', (address, shown) => {
    expect(shownDatabase(address)).toBe(shown);
  });
});
