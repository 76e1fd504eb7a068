import { readPage } from '../docs/pages.ts';

/** A file of a recipe. */
export interface RecipePart {
  path: string;
  text: string;
  /** Whether the file is there, and gets these members besides its own. */
  isAddition: boolean;
}

/** A recipe of docs/policy-cookbook.md. */
export interface Recipe {
  name: string;
  parts: RecipePart[];
}

/** The recipes as they are on the page, in order. */
export function readRecipes(): Recipe[] {
  return readPage('docs/policy-cookbook.md')
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const blocks = section.matchAll(/^(Add to )?`([^`]+)`:\n\n```\w+\n(.*?)^```$/gms);
      return {
        name: section.slice(0, section.indexOf('\n')),
        parts: [...blocks].map(([, add, path = '', text = '']) => ({
          path,
          text,
          isAddition: add !== undefined,
        })),
      };
    });
}

/** The Rego and the new data files of one recipe. */
export function recipeParts(name: string): { rego: RecipePart[]; data: RecipePart[] } {
  const recipe = readRecipes().find((each) => each.name === name);
  if (recipe === undefined) throw new Error(`the cookbook has no recipe "${name}"`);
  return {
    rego: recipe.parts.filter(({ path }) => path.endsWith('.rego')),
    data: recipe.parts.filter(({ path, isAddition }) => path.startsWith('data/') && !isAddition),
  };
}
