import { forwarderOf, middle, times } from './relayTables.mjs';
import { head, row } from './table.mjs';

const cpu = { title: 'CPU s per million', of: (outcome) => outcome.cpu, digits: 2 };
const p99 = { title: 'p99 ms', of: ({ p99_ms }) => p99_ms, digits: 2 };
const rate = { title: 'updates/s', of: (outcome) => outcome.rate, digits: 0 };
const spansLost = { title: 'spans lost', of: ({ spans_lost }) => spans_lost, digits: 0 };
const kbEach = { title: 'KB each', of: ({ kb_each }) => kb_each, digits: 1 };
const peak = { title: 'peak MB', of: ({ peak_mb }) => peak_mb, digits: 0 };

/**
 * Each wanted figure beside what was reached, and beside the peers of the same run: seconds depend on the machine,
 * multiples less.
 * @param {{ load: object[], collector: object[], idle: object[], stalled: object[] }} results by part, from `inTurns`
 */
export function wantedTable({ load, collector, idle, stalled }) {
  const among = (results, what) =>
    results.find(({ given }) => Object.entries(what).every(([name, value]) => given[name] === value));
  const small = (spans) => among(load, { name: `frames of 1, ${spans}`, connections: 100, rate: 20_000 });
  const fast = among(load, { name: 'frames of 10, no spans', connections: 8, rate: undefined });
  const gatewayOf = ({ given: { connections, rate, spans } }) =>
    among(load, { target: 'gateway', connections, rate, spans });
  const loaded = (what, result, figure, bound) => ({
    what,
    result,
    figure,
    bound,
    forwarder: forwarderOf(load, result),
    gateway: gatewayOf(result),
  });
  const of = (results, target) => among(results, { target });
  const kept = (what, results, figure, bound) => ({
    what,
    result: of(results, 'relay'),
    figure,
    bound,
    forwarder: of(results, 'forwarder'),
    gateway: of(results, 'gateway'),
  });
  const rows = [
    loaded('frames of 1, 20,000/s from 100 connections, no spans', small('no spans'), cpu, 8),
    loaded('the same', small('no spans'), p99, 2),
    loaded('the same, all spans', small('all spans'), cpu, 12),
    loaded('frames of 10, 8 connections, full speed, no spans', fast, rate, 800_000),
    loaded('the same', fast, cpu, 1.2),
    ...collector.map((result) => ({
      what: `100,000/s, all spans, a collector of 20 ms, ${result.given.name}`,
      result,
      figure: spansLost,
      bound: 0,
    })),
    kept('an idle connection', idle, kbEach, 4.5),
    kept('a stalled subscriber, values of 250 KiB', stalled, peak, 64),
  ];
  return [
    ...head('', 'figure', 'wanted', 'measured', 'reached', '× forwarder', '× Node gateway'),
    ...rows.map(({ what, result, figure: { title, of, digits }, bound, forwarder, gateway }) => {
      const measured = middle(result, of);
      const more = title === rate.title;
      return row(
        what,
        title,
        `${more ? '≥' : '≤'} ${bound.toLocaleString('en')}`,
        Number(measured.toFixed(digits)).toLocaleString('en'),
        (more ? measured >= bound : measured <= bound) ? 'yes' : 'no',
        times(result, forwarder, of),
        times(result, gateway, of),
      );
    }),
  ];
}
