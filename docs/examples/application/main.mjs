import { openFlags } from './flags.mjs';

const [flag = 'checkout.instant-refunds', organization = 'acme'] = process.argv.slice(2);
const flags = await openFlags({
  broker: process.env.COUNTERSIGN_URL ?? 'http://127.0.0.1:8480',
  environment: process.env.ENVIRONMENT ?? 'production',
});
console.log(`${flag} for ${organization}: ${await flags.isOn(flag, { organization })}`);
await flags.close();
