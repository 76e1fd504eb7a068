// Sends the traces of a broker to a collector, by OTLP over HTTP. docs/monitoring.md says how to load it.
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

// One of ten calls, and those whose caller is traced already.
const ratio = Number(process.env.OTEL_TRACES_SAMPLER_ARG ?? 0.1);
// The collector is at OTEL_EXPORTER_OTLP_ENDPOINT, else on this machine.
const provider = new TracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'countersign' }),
  sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
});
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(provider);
process.once('beforeExit', () => provider.shutdown());
