import { expect } from 'vitest';

/** A span, whoever received it. Times are nanoseconds since 1970. */
export interface Span {
  traceId: string;
  id: string;
  parent: string | undefined;
  name: string;
  kind: string;
  service: string;
  status: string;
  start: bigint;
  end: bigint;
  attributes: Record<string, unknown>;
}

type Attributes = { key: string; value: unknown }[];

/** What the trace view answers for one trace. */
export interface TraceAnswer {
  traceId: string;
  sources: { service: string }[];
  spans: {
    spanId: string;
    parentSpanId: string | null;
    name: string;
    kind: string;
    status: string;
    start: string;
    end: string;
    source: number;
    detail: { attributes: Attributes };
  }[];
}

export function spansOf({ traceId, sources, spans }: TraceAnswer): Span[] {
  return spans.map((span) => ({
    traceId,
    id: span.spanId,
    parent: span.parentSpanId ?? undefined,
    name: span.name,
    kind: span.kind,
    service: sources[span.source]?.service ?? '',
    status: span.status,
    start: BigInt(span.start),
    end: BigInt(span.end),
    attributes: Object.fromEntries(span.detail.attributes.map(({ key, value }) => [key, value])),
  }));
}

/** The one span that fits. */
export function only(spans: Span[], fits: Partial<Span>): Span {
  const found = spans.filter((span) =>
    Object.entries(fits).every(([name, value]) => span[name as keyof Span] === value),
  );
  expect(found, `spans like ${JSON.stringify(fits)}`).toHaveLength(1);
  return found[0] as Span;
}

/** What holds for every trace: one root, no orphan, unique ids, no child before its parent. */
export function expectOneTree(spans: Span[]): void {
  const byId = new Map(spans.map((span) => [span.id, span]));
  expect(byId.size, 'span ids are unique').toBe(spans.length);
  expect(new Set(spans.map((span) => span.traceId)).size, 'one trace id').toBe(1);
  expect(spans.filter((span) => span.parent === undefined).map((span) => span.name)).toHaveLength(1);
  for (const span of spans) {
    expect(span.id).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    expect(span.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(span.end, `${span.name} ends after its start`).toBeGreaterThanOrEqual(span.start);
    if (span.parent === undefined) continue;
    const parent = byId.get(span.parent);
    expect(parent, `the parent of ${span.name}`).toBeDefined();
    expect(span.start, `${span.name} starts after its parent`).toBeGreaterThanOrEqual(parent?.start ?? 0n);
  }
}

/**
 * Follows one update from `root`, its span in the browser, through relay and consumer to the database's
 * statement, and checks each of them against "Shape of a trace" in ARCHITECTURE.md.
 */
export function expectPath(spans: Span[], root: Span, service: string): void {
  const { 'atomwire.key': key, 'atomwire.session.id': session, 'atomwire.seq': seq } = root.attributes;
  expect(root).toMatchObject({ name: `Jotai State Update: ${key}`, kind: 'client', service });
  const server = only(spans, { parent: root.id, service: 'atomwire-relay' });
  expect(server).toMatchObject({
    kind: 'server',
    attributes: { 'atomwire.key': key, 'atomwire.session.id': session, 'atomwire.seq': seq },
  });
  const producer = only(spans, { parent: server.id });
  const destination = { 'messaging.system.name': 'zeromq', 'messaging.destination.name': 'atom-updates' };
  expect(producer).toMatchObject({
    name: 'send atom-updates',
    kind: 'producer',
    service: 'atomwire-relay',
    attributes: {
      ...destination,
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
    },
  });
  const consumer = only(spans, { parent: producer.id });
  expect(consumer).toMatchObject({
    name: 'process atom-updates',
    kind: 'consumer',
    service: 'atomwire-consumer',
    attributes: {
      ...destination,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'atomwire.key': key,
      'atomwire.session.id': session,
      'atomwire.seq': seq,
    },
  });
  expect(only(spans, { parent: consumer.id })).toMatchObject({
    kind: 'client',
    service: 'atomwire-consumer',
    attributes: {
      'db.system.name': 'sqlite',
      'db.query.summary': 'INSERT atomwire_updates',
    },
  });
}
