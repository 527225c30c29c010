// What bench:relay measures: who, under which load. A point is the flags of `atomwire-bench load`, and a row's name.

const NO_SPANS = { spans: false, suffix: 'no spans' };
const ALL_SPANS = { spans: true, suffix: 'all spans' };

const frames = (perFrame) => ({
  name: `frames of ${perFrame}`,
  target: 'relay',
  contract: 'binary',
  'per-frame': perFrame,
});
const PLAIN = { name: 'plain JSON', target: 'relay', contract: 'plain', 'per-frame': 1 };
const GATEWAY = { name: 'plain JSON, Node gateway', target: 'gateway', contract: 'plain', 'per-frame': 1 };
const forwarder = (perFrame) => ({
  name: `${perFrame === 1 ? 'plain JSON' : `lines of ${perFrame}`}, bare forwarder`,
  target: 'forwarder',
  contract: 'plain',
  'per-frame': perFrame,
  spans: false,
});

const withSpans = (given, { spans, suffix }) => ({ ...given, spans, name: `${given.name}, ${suffix}` });
const both = (given) => [withSpans(given, NO_SPANS), withSpans(given, ALL_SPANS)];

const BY_HTTP = { ...withSpans(frames(10), ALL_SPANS), protocol: 'http/protobuf' };
const CASES = [
  ...both(frames(10)),
  { ...BY_HTTP, name: `${BY_HTTP.name} by HTTP` },
  forwarder(10),
  ...both(frames(1)),
  ...both(PLAIN),
  ...both(GATEWAY),
  forwarder(1),
];

/** Connections, updates a second, and for how many seconds: slow ones longer, since the kernel counts hundredths. */
const LOADS = [
  { connections: 8, rate: 1_000, seconds: 3 },
  { connections: 8, rate: 20_000, seconds: 1.5 },
  { connections: 8, rate: 100_000, seconds: 1 },
  { connections: 8, seconds: 1 },
  { connections: 100, rate: 20_000, seconds: 1.5 },
  { connections: 100, seconds: 1 },
];
const STEADY = LOADS[1];
const MANY = { connections: 1_000, rate: 20_000, seconds: 1.5 };

const under = (load, cases) => cases.map((given) => ({ ...given, ...load }));

export const POINTS = [
  ...LOADS.flatMap((load) =>
    under(load, load === STEADY ? [...both(frames(100)), forwarder(100), ...CASES] : CASES),
  ),
  ...under(MANY, [...both(frames(10)), ...both(PLAIN), ...both(GATEWAY), forwarder(1)]),
];

/** Behind a collector that takes its time. */
export const BEHIND_COLLECTOR = ['grpc', 'http/protobuf'].map((protocol) => ({
  ...withSpans(frames(10), ALL_SPANS),
  name: protocol,
  protocol,
  'collector-ms': 20,
  connections: 8,
  rate: 100_000,
  seconds: 5,
}));
