import { fileURLToPath } from 'node:url';

/*
 * What comes with the broker, beside its code. Nobody's policy is among it that a broker would take by itself: a company's
 * data is its own, and the examples have other people in them.
 */

function shipped(path: string): string {
  return fileURLToPath(new URL(`../../policies/${path}`, import.meta.url));
}

/** The archive with the compiled Rego and no data. */
export const SHIPPED_MODULE = shipped('module.tar.gz');

/** The folder of data without anybody's names, which a company's own begins with. */
export const STARTER_DATA = shipped('starter');

/** The folder of examples. Each has `data`, which is laid over {@link STARTER_DATA}, `cases`, and `bundle.tar.gz`. */
export const EXAMPLES = shipped('examples');
