import type { Command } from 'commander';
import { exchangeToken } from '../auth/exchange.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment } from '../output/text.ts';

interface TokenOptions extends CommonOptions {
  audience: string;
}

/** `token`. */
export function registerToken(program: Command, cli: Cli): void {
  cli
    .command(program, 'token', 'get a token with which an application reads flags, and print it')
    .requiredOption('--audience <audience>', 'what it is for, such as data:production')
    .addHelpText('after', HELP)
    .action((options: TokenOptions) =>
      cli.run(options, async (context) => {
        const { io, broker, tokens } = context;
        const { audience } = options;
        const { access_token, expires_ms } = await exchangeToken(
          io,
          broker,
          { ...(await tokens.identity()), audience },
          // Whoever gets it sends it as it is.
          false,
        );
        const expires_in = Math.floor((expires_ms - io.clock()) / 1000);
        context.print(
          { access_token, token_type: 'Bearer', audience, expires_in, expires_ms },
          () => access_token,
        );
        if (!context.json) context.note(`It expires at ${moment(expires_ms)}. Whoever has it can use it.`);
        return EXIT.done;
      }),
    );
}

const HELP = `
The token is for whatever identity this machine has: in CI and on Kubernetes the platform's token, as a trust rule of the
policy grants; otherwise your own sign-in, if the policy lets persons have tokens that read flags.

Example:
  TOKEN=$(countersign token --audience data:production)
  curl -X POST "$COUNTERSIGN_URL/ofrep/v1/evaluate/flags/checkout.retry-limit" \\
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"context": {"organization": "acme"}}'`;
