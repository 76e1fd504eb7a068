/*
 * Under which conditions rows beside the log may change, in the SQL that both engines have. Nobody but a record can make one true.
 */

/** Over `new`, a row of `archives`: its record says the same, in the same words. */
export const ARCHIVE_SAID = `exists (
  select 1 from leaves where leaves.place = new.place and leaves.leaf like
    '%"retention":{"count":' || new.count || ',"digest":' || coalesce('"' || new.digest || '"', 'null')
    || ',"from_place":' || new.from_place || ',"to_place":' || new.to_place || ',"what":"' || new.what || '"}%'
)`;

const UNCHANGED = [
  'place',
  'id',
  'at_ms',
  'operation',
  'outcome',
  'principal_id',
  'person',
  'environment',
  'request_id',
  'policy_hash',
  'stage',
  'salt',
  'details',
  'result',
]
  .map((column) => `new.${column} is not distinct from old.${column}`)
  .join(' and ');

/** Over `old` and `new`, a row of `record_details`: its input is in an archive, so here it becomes empty, and nothing else. */
export const INPUT_ARCHIVED = `(new.input = '' and ${UNCHANGED} and exists (
  select 1 from archived_inputs join archives on archives.place = archived_inputs.archived_by
  where archived_inputs.place = old.place and archives.what = 'inputs'
    and old.place between archives.from_place and archives.to_place
))`;

/** Over `old`, a row of `archived_inputs`: its record was erased. */
export const INPUT_ERASED = 'exists (select 1 from erasures where erasures.place = old.place)';

/** Over `old`, a row of `evaluations`: a record says that it is deleted. The id has the place times 1000. */
export const EVALUATIONS_DELETED = `exists (
  select 1 from archives where archives.what = 'evaluations'
    and archives.to_place >= old.id / 1000 and archives.from_place <= old.id / 1000
)`;
