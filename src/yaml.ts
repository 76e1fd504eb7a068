import { parseDocument, visit } from 'yaml';
import { inexactNumber, isExactNumber, shownNumber } from './json-numbers.ts';

/** What a YAML file contains, or its faults. */
export type ReadYaml = { value: unknown } | { faults: string[] };

/**
 * Reads YAML or JSON, which is a subset of it. Duplicate keys, and numbers that a double cannot hold, are faults: another
 * reader could see another document.
 *
 * @param version the version of YAML to read it as
 * @see YAML 1.2.2 section 3.2.1.3, RFC 7493 section 2.2
 */
export function readYaml(text: string, version: '1.1' | '1.2' = '1.2'): ReadYaml {
  const document = parseDocument(text, { uniqueKeys: true, version });
  const faults = document.errors
    // Behind a fault of the syntax, the parser guesses.
    .filter(({ code }, place) => code === 'DUPLICATE_KEY' || place === 0)
    // The lines below show the place that the first one names.
    .map(({ message }) => message.split('\n', 1).join('').replace(/:$/, ''));
  visit(document, {
    Scalar: (_key, { value, source }) => {
      if (typeof value !== 'number' && typeof value !== 'bigint') return;
      const literal = source ?? String(value);
      if (!isExactNumber(literal)) faults.push(inexactNumber(shownNumber(literal)));
    },
  });
  return faults.length > 0 ? { faults } : { value: document.toJS() };
}
