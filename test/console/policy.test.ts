import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConsoleBench, HAS_BROWSER, startConsoleBench } from './bench.ts';

describe.skipIf(!HAS_BROWSER)('the policy of the pages', () => {
  let b: ConsoleBench;
  beforeAll(async () => {
    b = await startConsoleBench();
  });
  afterAll(() => b?.close());

  it('is broken by nothing on any page', async () => {
    const { open, page, complaints } = await b.visit('dana');
    for (const path of ['/', '/requests', '/flags', '/propose']) {
      await open(path);
      await page.screenshot({ path: `/tmp/shot${path.replaceAll('/', '-')}.png` });
    }
    expect(complaints).toEqual([]);
  });
});
