import { z } from 'zod';
import type { RequestKind } from '../../src/decide/control.ts';
import { BrokerError } from '../../src/errors.ts';
import { type ContentOf, commonShape } from '../../src/requests/content.ts';
import { findMeta, setMeta } from '../../src/store/installation.ts';

/**
 * A kind of requests that the broker does not come with: a note on the wall. The one file that a kind needs; its entry of
 * policy data is {@link notePostEntry}.
 */

const NOTE = 'test_note';

const contentSchema = z.strictObject({ kind: z.literal('note.post'), note: z.string(), ...commonShape });

/** @param planVersion the version of its plans @param moreBases what they are based on besides the note that is there */
export function notePost(
  planVersion = 1,
  moreBases: readonly string[] = [],
): RequestKind<ContentOf<typeof contentSchema>> {
  return {
    name: 'note.post',
    contentSchema,
    editable: { note: z.string() },
    objectSchema: z.strictObject({ type: z.literal('note'), text: z.string() }),
    planVersion,
    conflict: 'Another note was posted meanwhile.',
    plan: async (db, { note }) => {
      const present = JSON.parse((await findMeta(db, NOTE)) ?? '{"version":0}') as { version: number };
      if (note === '') throw new BrokerError('invalid_change', 'An empty note says nothing.');
      return {
        plan: {
          version: planVersion,
          changes: [],
          object: { type: 'note', text: note },
          bases: [
            { of: 'note:wall', version: present.version },
            ...moreBases.map((of) => ({ of, version: 1 })),
          ],
        },
        effects: [
          {
            carryOut: async ({ tx }) => {
              await setMeta(tx, NOTE, JSON.stringify({ version: present.version + 1, note }));
              return {};
            },
          },
        ],
      };
    },
    environmentOf: () => null,
    flagsOf: () => [],
    namespacesOf: () => [],
    namedBy: async () => [],
    sentence: ({ object }) => `post the note "${object?.text}"`,
  };
}

const both = ['flag-approver', 'flag-deployer'];

/** The entry under `request_kinds` of the policy's data. */
export const notePostEntry = {
  rule: {
    approvals: { 'flag-approver': 1 },
    ticket: false,
    windows: [],
    account_approvers: false,
    sign_in: null,
  },
  stand_ins: [],
  under_freeze: 'passes',
  roles: {
    'request.propose': ['flag-deployer', 'security-approver'],
    'request.edit': ['flag-deployer', 'security-approver'],
    'request.schedule': ['flag-deployer', 'security-approver'],
    'request.apply': [...both, 'scheduler'],
    'request.approve': ['flag-approver'],
    'request.reject': ['flag-approver'],
  },
  persons_only: true,
  place: 'everywhere',
  held: { code: 'held_for_note', detail: 'A second person reads each note before it is posted.' },
};
