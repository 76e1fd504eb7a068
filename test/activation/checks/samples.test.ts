import { describe, expect, it } from 'vitest';
import { ASKS } from '../../../src/activation/checks/questions.ts';
import { SAMPLE_OBJECTS } from '../../../src/activation/checks/samples.ts';
import { OPERATION_NAMES } from '../../../src/operations.ts';
import { requestKinds } from '../../../src/requests/kinds/kinds.ts';

/*
 * What policies are asked about is complete: a new operation, or kind of requests, cannot be given unnoticed.
 */

describe('the questions that tell what somebody may do', () => {
  it('ask about every operation', () => {
    expect(new Set(ASKS.map(({ operation }) => operation))).toEqual(new Set(OPERATION_NAMES));
  });

  it('ask about every kind of requests, with an object that the kind could have', () => {
    const withObject = requestKinds.all.filter(({ objectSchema }) => objectSchema !== null);
    expect(Object.keys(SAMPLE_OBJECTS).sort()).toEqual(withObject.map(({ name }) => name).sort());
    for (const { name, objectSchema } of withObject) {
      expect(objectSchema?.safeParse(SAMPLE_OBJECTS[name]?.(null)).error).toBeUndefined();
    }
  });
});
