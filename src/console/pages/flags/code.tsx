import type { AnswerOf } from '../../../routes.ts';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './flag.module.css';

/** How an application reads a flag, with an SDK of OpenFeature. */
export function CodePanel({ flag: { key, variants, safe_variant } }: { flag: AnswerOf<'getFlag'> }) {
  const safe = (variants as Readonly<Record<string, unknown>>)[safe_variant];
  const code = `import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

await OpenFeature.setProviderAndWait(
  new OFREPProvider({
    baseUrl: ${JSON.stringify(window.location.origin)},
    headersFactory: () => [['Authorization', \`Bearer \${token}\`]],
  }),
);
const client = OpenFeature.getClient();
const value = await client.get${typeOf(safe)}Value(${JSON.stringify(key)}, ${JSON.stringify(safe)}, {
  organization: 'acme',
});`;
  return (
    <Panel title="Read it in an application">
      <pre className={styles.code}>
        <Untrusted text={code} />
      </pre>
      <p className={styles.calm}>
        The token is of the audience <code>data:ENVIRONMENT</code>, as <code>countersign token</code> gets it.
        The default is the safe variant, so the application does the same when nothing answers. With curl:{' '}
        <code>POST /ofrep/v1/evaluate/flags/{key}</code>
      </p>
    </Panel>
  );
}

function typeOf(value: unknown): 'Boolean' | 'Number' | 'String' | 'Object' {
  if (typeof value === 'boolean') return 'Boolean';
  if (typeof value === 'number') return 'Number';
  return typeof value === 'string' ? 'String' : 'Object';
}
