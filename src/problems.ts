/**
 * Every refusal that leaves this process: one closed list of codes, one table with their HTTP status and title, what each
 * means and how to clear it, in Markdown for the documents.
 *
 * A code is stable: clients and runbooks branch on it. docs/problems.md is generated from this list.
 *
 * @see RFC 9457
 */
export const PROBLEMS = {
  // The request itself is malformed.
  malformed_json: {
    status: 400,
    title: 'The body is not valid JSON',
    means: 'The body is not a single JSON document in UTF-8, is truncated, or has a duplicate object member.',
    remedy: 'send the output of a JSON serializer, with the correct length.',
  },
  invalid_request: {
    status: 400,
    title: 'The request is malformed',
    means:
      'The body, the query, a header or the path is malformed; `errors` identifies each place by a JSON Pointer. Unknown members and values are refused with the nearest that is known, so that a misspelt one is not silently ignored. So is a number that a double cannot hold, such as 9007199254740993 or 1e400: it would become another number (RFC 8259 section 6, RFC 7493 section 2.2).',
    remedy:
      'correct the places in `errors`; write a number of more than 15 digits, such as an account number, as a string.',
  },
  ambiguous_request: {
    status: 400,
    title: 'The HTTP message can be read in more than one way',
    means:
      'The connection is closed afterwards. Two readers of the HTTP message could understand two requests: two lines of a header that has one value (`Host`, `Authorization`, `Content-Type`, `Cookie`, `Idempotency-Key`, `Origin`, `X-API-Key`), a `Transfer-Encoding` over HTTP/1.0 or other than `chunked`, a malformed `Host` (RFC 9112 sections 3.2 and 6.1).',
    remedy: 'send each of these headers once. If the client did so, look for a proxy that adds a second one.',
  },
  misdirected_request: {
    status: 421,
    title: 'The broker does not serve this host',
    means:
      '`Host`, or the authority of an absolute URL, is neither that of `public_url` nor listed under `hosts` in the configuration (RFC 9110 section 15.5.20).',
    remedy:
      'use `public_url`. If the broker has another name, such as the one inside of a cluster, the operator adds it to `hosts`; see [configuration](configuration.md#hosts).',
  },
  invalid_bundle: {
    status: 422,
    title: 'The policy bundle cannot be used',
    means:
      'The policy bundle could never become active: the archive is damaged, its module or its data cannot be used, or a trust rule is too permissive. Nothing was stored.',
    remedy: '`detail` names the fault. Correct the bundle, build it again, and upload it.',
  },
  invalid_change: {
    status: 422,
    title: 'The change cannot be made to this flag',
    means:
      'The request is well-formed, but the change cannot be made to the current flags: an unknown flag or version, a key that was already used, a change without effect, a start in the past or after the request would expire, or more changes than one request may make.',
    remedy: 'read the flag, and propose a change that fits it; `errors` identifies the change.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor does not belong to this list',
    means: 'The cursor was not issued by this broker, or belongs to another list or filter.',
    remedy: 'start again without a cursor, and use the same filters for every page.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    means: 'The body is larger than 256 KiB.',
    remedy: 'split the request.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body has another media type than the call accepts',
    means:
      'The body does not have the media type of the call, is compressed in transfer, or is not in UTF-8.',
    remedy:
      'send it as `Content-Type: application/json` (a policy bundle as `application/gzip`), without `Content-Encoding`.',
  },
  not_supported: {
    status: 501,
    title: 'The active policy does not support this',
    means: 'The active policy bundle does not support this query, such as who has access to what.',
    remedy: 'add the entry point that docs/policy.md describes to your own bundle.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    means:
      'The path, or something that the call names, does not exist, or you may not see it: an environment, namespace, flag, request, freeze, decision, session, stage, trust rule, issuer or principal. It makes no difference whether the path, the query or the body names it. A list that is asked for such a name is refused too, instead of being empty. `did_you_mean` is the nearest name that you may see, and `errors` says where the name was written.',
    remedy:
      'list the existing ones; ids and keys must match exactly. If it should be there, ask for a role in its namespace and environment.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not support this method',
    means: 'The path exists, but not with this method; `Allow` lists those that it has.',
    remedy: 'use one of them.',
  },
  // Who is calling.
  unauthenticated: {
    status: 401,
    title: 'A valid token is required',
    means: 'The call has no token.',
    remedy:
      "sign in, or exchange your platform's token at `POST /oauth/token`. Send `Authorization: Bearer …`, or `Authorization: DPoP …` with a proof if the token is bound to a key (RFC 9449).",
  },
  token_invalid: {
    status: 401,
    title: 'The token was not accepted',
    means: `The token was not accepted. The reason is only in the broker's log, under the id in \`instance\`; except that an authentic token is told when it lacks the claim that names the person (\`claims.person\`). \`WWW-Authenticate: DPoP error="invalid_dpop_proof"\` means that the proof was refused, not the token: each proof is for one request, names the broker's public URL, works once, and expires after a minute.`,
    remedy:
      'get a new token for this broker, or create a new proof. If that does not help, ask the operator to check the log.',
  },
  claims_incomplete: {
    status: 403,
    title: 'The identity provider left claims out of the token',
    means:
      'The token is authentic, but the identity provider left a claim out of it that says what you may do, because the claim is too large. Entra ID does so with more than 200 groups (overage).',
    remedy:
      "the provider's administrator sends fewer groups to this client: only those assigned to the application, or app roles ([identity](identity.md#groups)).",
  },
  issuer_unavailable: {
    status: 503,
    title: 'The keys of the token issuer cannot be fetched',
    means:
      "The keys of the token's issuer cannot be fetched, so the token cannot be verified. Or the issuer publishes no usable keys any more, so that nothing can be changed with its tokens.",
    remedy: 'retry after `Retry-After`; the operator checks the identity provider. Flags are still served.',
  },
  sign_in_failed: {
    status: 400,
    title: 'The sign-in did not succeed',
    means:
      "The identity provider's answer to a browser sign-in was not accepted. Either it belongs to no pending sign-in in this browser (it was already completed, took more than 10 minutes, or was started elsewhere), or it reports an error, or it is not from the provider, or it signs in a different person than a stronger or more recent sign-in was requested for. No session was opened or changed.",
    remedy:
      'start again at `/auth/sign-in`. If the problem persists, the operator finds the failed check in the log, under the id in `instance`.',
  },
  cross_site: {
    status: 403,
    title: 'The request was sent from another site',
    means:
      'A request that changes something was sent with a browser session, but the browser did not confirm that it came from a page of this origin: `Origin` and `Sec-Fetch-Site` are missing, or one of them names another site.',
    remedy:
      "repeat it from a page under the broker's public URL. Other clients send a token in `Authorization` instead of a cookie.",
  },
  all_namespaces_required: {
    status: 403,
    title: 'A snapshot needs a token that reads all namespaces',
    means:
      'A [snapshot](snapshots.md) has the targeting rules of every namespace of its environment, and the token reads some namespaces only.',
    remedy:
      'get a token under a trust rule whose `namespaces` are `*`, or evaluate single flags at `/ofrep/v1/evaluate/flags`.',
  },
  // The answers of policy and state.
  policy_denied: {
    status: 403,
    title: 'The policy denies this operation',
    means:
      'The active policy denies the operation, or requires something that cannot be supplied later. `reasons` says why, and `gates` who can change it. The refusal is recorded under `decision_id`.',
    remedy: 'follow the gates. A deny is not a fault of the broker; it is the decision of the policy.',
  },
  sign_in_required: {
    status: 401,
    title: 'A fresh or stronger sign-in is required',
    means:
      "The policy requires a stronger or more recent sign-in (RFC 9470). `level` and `max_age_s` give the requirement; `acr_values` are the matching values of the caller's issuer, strongest first.",
    remedy:
      'sign in again with a second factor, and repeat the call with the new token. In a terminal, the command line starts that sign-in and then continues; elsewhere it prints the command.',
  },
  request_conflicted: {
    status: 409,
    title: 'The basis of this request has changed since it was proposed',
    means:
      'What the request is based on has changed since it was proposed: a flag, or the freeze or revocation to lift. Nothing was applied, and the request is closed.',
    remedy:
      'propose the same content again (the gate has the call). It requires new approvals, because the earlier ones were for a different base. To avoid a conflict, `POST /v1/requests/{id}/rebase` rebases an open request onto the current versions.',
  },
  request_closed: {
    status: 409,
    title: 'The request has reached a final state',
    means: 'The request is applied, rejected, withdrawn, expired or conflicted. These states are final.',
    remedy: 'propose a new request.',
  },
  digest_mismatch: {
    status: 409,
    title: 'The request has changed since you read it',
    means:
      'The content of the request is not the one whose digest you sent: it was edited after you read it.',
    remedy: 'read it again, and decide on its current content.',
  },
  state_conflict: {
    status: 409,
    title: 'The operation is not possible in the current state',
    means:
      'The operation is not possible in the current state: a break-glass session is already open, or has ended; a comment is that of somebody else, or a request has too many; the log was handed over to another key meanwhile; or a decision cannot be explained, because it cannot be made again (`why` has the [reason](decision-log.md#replay)).',
    remedy: 'use or close the open session, or open a new one.',
  },
  precondition_required: {
    status: 428,
    title: 'What you read is required: digest or If-Match',
    means: 'The call must say what you read, because concurrent writes are possible.',
    remedy: 'send the `digest` of the request that you read in the body, or its `ETag` in `If-Match`.',
  },
  precondition_failed: {
    status: 412,
    title: 'The resource has changed since you read it',
    means: 'The request has changed since you read it; the `ETag` of this answer is the current one.',
    remedy: 'read it again, and repeat your change on its current state.',
  },
  weak_validator: {
    status: 412,
    title: 'If-Match names a weak entity tag',
    means:
      '`If-Match` names only weak entity tags (`W/"…"`), which never match (RFC 9110 section 13.1.1). Proxies that compress answers make entity tags weak.',
    remedy:
      'send the `digest` of the request that you read in the body instead, or read it again with `Accept-Encoding: identity`.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key was already used for another request',
    means: 'The `Idempotency-Key` was already used with another path or body.',
    remedy: 'use a new key for each operation, and the same key only for its retries.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    means:
      'You exceeded the rate limit for calls by one principal, or for attempts from one address: without a valid token or session anywhere, and all on `/oauth` and `/auth`. Freezes, revocations and break-glass calls of a principal are counted apart from their other calls.',
    remedy: 'wait for the number of seconds in `Retry-After`.',
  },
  // The broker itself.
  not_recorded: {
    status: 503,
    title: 'The decision could not be recorded, so its write was undone',
    means: 'The decision could not be committed, so its write was undone. Reads still work.',
    remedy:
      'retry after `Retry-After`. If the problem persists, the operator checks the disk or the database server: `detail` says what is wrong. Writes resume automatically.',
  },
  outcome_unknown: {
    status: 503,
    title: 'Whether the write was recorded is not known yet',
    means:
      'The disk failed, or the connection to the database server was lost, while the decision was being committed. Whether it was written is unknown until the broker has restarted and has read the disk again, or has found out at the server, which it does by itself. Until then it takes no writes.',
    remedy:
      'then read the current state, then decide whether to repeat the call. A call with an `Idempotency-Key` can be repeated without reading: if it was written, it is answered as the first time.',
  },
  store_unreachable: {
    status: 503,
    title: 'The database server does not answer',
    means:
      'The server of the database does not answer, is a standby, or has no connection to spare, as for some seconds of a failover. Flags are still served.',
    remedy:
      'retry after `Retry-After`; a call that writes with the same `Idempotency-Key`. It goes on by itself once there is a primary server. If it lasts, the operator looks at the server ([failover](failover.md)).',
  },
  clock_behind: {
    status: 503,
    title: "The broker's clock is behind the decision log",
    means:
      "The broker's clock is more than five seconds behind the last record, so nothing was written: the times of records never decrease. Reads still work.",
    remedy:
      'the operator corrects the clock. If the last record was written while the clock was ahead, writes resume automatically once that time has passed, or after `countersign accept-clock` ([operations](operations.md#a-clock-that-is-wrong)).',
  },
  restored_copy: {
    status: 503,
    title: 'The database is an older copy or has another history',
    means:
      'The database lacks what the broker had acknowledged or signed: it is an older copy, or has another history. Freezes and revocations may be missing, so nothing was written. Reads still work.',
    remedy:
      'the operator puts the newest copy back, or confirms the restore with `countersign accept-restore` ([operations](operations.md#a-restored-copy-of-the-database)).',
  },
  database_in_use: {
    status: 503,
    title: 'Another program holds the database',
    means:
      'Another program holds the database, so nothing was written: it has a transaction open in which it writes, or it has been reading for so long that the write-ahead log has reached its limit. Reads still work.',
    remedy:
      'retry after `Retry-After`. If it lasts, the operator ends that program ([operations](operations.md#other-programs-that-open-the-database)).',
  },
  store_unwritable: {
    status: 503,
    title: 'The database cannot be written until the operator restarts the broker',
    means:
      'The disk failed while it was being written, the database was moved or deleted, or it could not be written when the broker started. Nothing was written. Flags are still served, and reads still work.',
    remedy:
      'the operator corrects what `detail` names, then restarts the broker ([operations](operations.md#a-disk-that-cannot-be-written)).',
  },
  store_damaged: {
    status: 503,
    title: 'The database file is damaged',
    means:
      'SQLite has found the database file damaged, so nothing more is written to it. Flags are still served, and reads still work where the damage is not.',
    remedy: 'the operator restores a backup ([operations](operations.md#a-damaged-database)).',
  },
  log_altered: {
    status: 503,
    title: 'The stored decision log is not the one that was signed',
    means:
      'The broker has found that the stored log does not fit itself: a leaf, a hash of the tree or its head was changed. Nothing more is written to it. Flags are still served, and reads still work.',
    remedy:
      'the operator keeps the file as evidence, finds out who had access, and restores a backup ([operations](operations.md#a-log-that-was-changed)).',
  },
  snapshot_unavailable: {
    status: 503,
    title: 'No snapshot of this environment is published yet',
    means:
      'Snapshots of the environment are published, and the first one in this epoch of the log is not there yet: the broker has just started, was just restored, or takes no writes.',
    remedy:
      'retry after `Retry-After`, and serve on what you have. If it lasts, look at `/readyz`: it says why the broker takes no writes.',
  },
  overloaded: {
    status: 503,
    title: 'Too many calls are waiting',
    means:
      'So many calls are waiting that this one was not begun. Freezes, revocations and break-glass calls wait in a lane of their own, so they are not affected by ordinary calls.',
    remedy:
      'retry after `Retry-After`, with fewer calls at once. `countersign_calls` in `/metrics` shows what is waiting.',
  },
  flags_not_loaded: {
    status: 503,
    title: 'The flags are not loaded yet',
    means:
      'The broker has just started, or could not read the flags of the environment from its store, so it has none to give out. It never answers with an empty list instead.',
    remedy:
      'retry after `Retry-After`. If it lasts, the log of the broker says why the flags could not be read.',
  },
  shutting_down: {
    status: 503,
    title: 'The broker is shutting down',
    means: 'The broker is shutting down. It finishes pending work and accepts no new calls.',
    remedy: 'retry shortly.',
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    means:
      'A fault in the broker. Whether the call had an effect is unknown: the fault may be in what came after it.',
    remedy:
      'read the current state before you repeat the call; with an `Idempotency-Key` you may repeat it at once. Report it with the id in `instance`; the log has the cause under that id.',
  },
} as const satisfies Record<string, { status: number; title: string; means: string; remedy: string }>;

/** A stable problem code. */
export type ProblemCode = keyof typeof PROBLEMS;
