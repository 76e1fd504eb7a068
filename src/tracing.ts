import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import {
  type Attributes,
  type Context,
  context,
  createTraceState,
  isValidTraceId,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

/*
 * Traces, by the API of OpenTelemetry alone: the SDK, which decides what becomes of them, is the operator's, and is loaded
 * before the broker. Without one, spans do nothing. Spans leave the machine, so nothing in them names a person or a flag.
 */

/** Finds the SDK when it is first used. */
const tracer = trace.getTracer('countersign');

/** One HTTP call in a trace. */
export interface CallTrace {
  /** The id of the trace: 32 lower-case hexadecimal digits; undefined if nobody traces the call. */
  readonly id: string | undefined;
  /** Runs what is done for the call, so that its steps become spans of it. */
  within<T>(run: () => T): T;
  /** Ends it. @param route the path of its route, because anything can be in the path itself */
  end(answer: { route: string | null; status: number }): void;
}

const UNTRACED: CallTrace = { id: undefined, within: (run) => run(), end: () => undefined };

/** Continues the trace that a caller's headers name, or begins one if the operator wants that. */
export function traceCall({ method = '', headers }: Pick<IncomingMessage, 'method' | 'headers'>): CallTrace {
  const attributes = { 'http.request.method': method };
  const parent = parentOf(headers);
  const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
  const { traceId } = span.spanContext();
  if (!isValidTraceId(traceId)) return UNTRACED;
  const inside = trace.setSpan(parent, span);
  return {
    id: traceId,
    within: (run) => context.with(inside, run),
    end: ({ route, status }) => {
      span.setAttribute('http.response.status_code', status);
      if (route !== null) span.setAttribute('http.route', route).updateName(`${method} ${route}`);
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}

/** Version, id of the trace, id of the calling span, flags, and what later versions append. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The context that headers name. What has not exactly the form of the standard counts as absent: ids are logged and recorded.
 *
 * @see https://www.w3.org/TR/trace-context/
 */
function parentOf({ traceparent, tracestate }: IncomingHttpHeaders): Context {
  if (typeof traceparent !== 'string') return ROOT_CONTEXT;
  const [, version, traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? [];
  const isKnown = version === '00' ? more === undefined : version !== undefined && version !== 'ff';
  if (!isKnown) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(typeof tracestate === 'string' && { traceState: createTraceState(tracestate) }),
  });
}

/** The id of the trace that the present work belongs to. */
export function activeTraceId(): string | undefined {
  return trace.getSpan(context.active())?.spanContext().traceId;
}

/** Runs something as part of one trace, or of none, whoever calls. */
export type Within = <T>(run: () => T) => T;

/** What is done later for the present call belongs to its trace, or to none: not to that of whoever lets it run. */
export function presentContext(): Within {
  const present = context.active();
  return (run) => context.with(present, run);
}

/** Begins what is done for many calls: it belongs to the trace of none, also not to that of the one that lets it begin. */
export function outsideOfTraces<T>(run: () => T): T {
  return context.with(ROOT_CONTEXT, run);
}

/** Runs one step of a call as a span of it. @param attributesOf what the span says of the result */
export function traceStep<T>(name: string, run: () => T, attributesOf: (result: T) => Attributes): T {
  if (!isTraced(context.active())) return run();
  const span = tracer.startSpan(name);
  try {
    const result = run();
    span.setAttributes(attributesOf(result));
    return result;
  } finally {
    span.end();
  }
}

/** The steps of one write, each a span of its call. */
export interface WriteTrace {
  /** Ends the present step, and begins the next one. */
  next(step: 'wait' | 'write' | 'commit'): void;
  /** Runs work as part of the present step. */
  within<T>(run: () => T): T;
  end(): void;
}

/** Begins the trace of a write, which waits first; null if its call is not traced. */
export function traceWrite(): WriteTrace | null {
  const parent = context.active();
  if (!isTraced(parent)) return null;
  const begin = (step: string): Span => tracer.startSpan(`countersign.${step}`, {}, parent);
  let span = begin('wait');
  return {
    next: (step) => {
      span.end();
      span = begin(step);
    },
    within: (run) => context.with(trace.setSpan(parent, span), run),
    end: () => span.end(),
  };
}

function isTraced(parent: Context): boolean {
  return trace.getSpan(parent)?.isRecording() === true;
}
