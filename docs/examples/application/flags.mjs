import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { createTokenSource } from './token.mjs';

/** Opens the flags of one environment. Each read waits for a token that can be used, which is there nearly always. */
export async function openFlags({ broker, environment, ...options }) {
  const tokens = createTokenSource({ broker, audience: `data:${environment}`, ...options });
  const provider = new OFREPProvider({
    baseUrl: broker,
    headersFactory: () => [['Authorization', `Bearer ${tokens.current()}`]],
  });
  await OpenFeature.setProviderAndWait(environment, provider);
  const client = OpenFeature.getClient(environment);
  return {
    isOn: async (flag, context = {}) => {
      // Without a token the SDK serves the default: an application goes on when the broker is down.
      await tokens.ready().catch((error) => console.error(error.message));
      return client.getBooleanValue(flag, false, context);
    },
    close: () => OpenFeature.close(),
  };
}
