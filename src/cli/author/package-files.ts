import { fileURLToPath } from 'node:url';

/*
 * The author's bench: a policy project from an empty folder to a bundle. It needs no broker. What a project begins with comes
 * with the package, beside the code, as `policy/shipped.ts` has it.
 */

function shipped(path: string): string {
  return fileURLToPath(new URL(`../../../policies/${path}`, import.meta.url));
}

/** The Rego that the shipped module was compiled from, with its tests where there are any. */
export const SHIPPED_REGO = shipped('countersign');

/** The manifest for the compiler: the parts of the data that a bundle owns. */
export const SHIPPED_MANIFEST = shipped('.manifest');

/** The built-ins that a policy may call. */
export const SHIPPED_CAPABILITIES = shipped('capabilities.json');

/** The JSON Schemas of the input documents, for `opa check`. */
export const SHIPPED_SCHEMAS = shipped('schemas');

/** The texts of a new project: pages, Makefile, pipeline. */
export const PROJECT_TEXTS = shipped('project');
