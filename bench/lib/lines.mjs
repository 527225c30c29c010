// A plain SVG of what an update costs, against one thing at a time: a row of panels without spans, and one with.

import { spread } from './summary.mjs';
import { ACCENT, INK, powers, short, svg, text } from './svg.mjs';

const relay = ({ target }) => target === 'relay';
const binary = ({ contract }) => contract === 'binary';
const ofOne = (given) => given['per-frame'] === 1;
const ofTen = (given) => given['per-frame'] === 10;

const SERIES = [
  { name: 'relay, frames', color: ACCENT, mark: circle, is: (given) => relay(given) && binary(given) },
  {
    name: 'relay, plain JSON',
    color: ACCENT,
    dashed: true,
    mark: circle,
    is: (given) => relay(given) && !binary(given),
  },
  { name: 'Node gateway, plain JSON', color: INK, mark: square, is: ({ target }) => target === 'gateway' },
  {
    name: 'bare forwarder, plain JSON',
    color: INK,
    dashed: true,
    mark: square,
    is: ({ target }) => target === 'forwarder',
  },
];

/** Frames and lines are of ten and of one where their size is not what is compared. */
const usual = (given) => (relay(given) && binary(given) ? ofTen(given) : ofOne(given));
const steady = ({ rate }) => rate === 20_000;
const few = ({ connections }) => connections === 8;
const PANELS = [
  {
    title: 'updates/s, 8 connections',
    is: (given) => few(given) && usual(given),
    x: ({ outcomes }) => spread(outcomes.map(({ rate }) => rate)).median,
  },
  {
    title: 'updates a frame, 20,000/s, 8 connections',
    is: (given) => few(given) && steady(given),
    x: ({ given }) => given['per-frame'],
  },
  {
    title: 'connections, 20,000/s',
    is: (given) => steady(given) && usual(given),
    x: ({ given }) => given.connections,
  },
];

const LEFT = 48;
const WIDTH = 250;
const HEIGHT = 170;
const GAP = 44;
const HEAD = 90;
const BETWEEN = 58;
const FOOT = 62;

/** @param {{ given: object, outcomes: { cpu: number, rate: number }[] }[]} results all by gRPC */
export function costLines(results) {
  const cpu = ({ outcomes }) => spread(outcomes.map((outcome) => outcome.cpu));
  const y = range(results.map((result) => cpu(result).median));
  const parts = SERIES.map((series, at) => legend(series, LEFT + at * 215));
  for (const [line, spans] of [false, true].entries()) {
    const bottom = HEAD + HEIGHT + line * (HEIGHT + BETWEEN);
    const yOf = (value) => place(bottom, y, value, -HEIGHT);
    parts.push(text(LEFT, bottom - HEIGHT - 18, spans ? 'all spans' : 'no spans', 'font-weight="bold"'));
    for (const [at, panel] of PANELS.entries()) {
      const left = LEFT + at * (WIDTH + GAP);
      const shown = results.filter(
        ({ given }) => panel.is(given) && (given.spans === spans || given.target === 'forwarder'),
      );
      const x = range(shown.map(panel.x));
      const xOf = (value) => place(left, x, value, WIDTH);
      parts.push(...grid(left, bottom, x, y, xOf, yOf, at === 0));
      for (const series of SERIES) {
        const points = shown
          .filter(({ given }) => series.is(given))
          .map((result) => ({ x: xOf(panel.x(result)), ...mapped(cpu(result), yOf) }))
          .sort((one, other) => one.x - other.x);
        parts.push(drawn(series, points));
      }
      if (spans) parts.push(text(left + WIDTH / 2, bottom + 36, panel.title, 'text-anchor="middle"'));
    }
  }
  const width = LEFT + PANELS.length * (WIDTH + GAP);
  const height = HEAD + 2 * HEIGHT + BETWEEN + FOOT;
  parts.push(
    text(
      LEFT,
      40,
      'CPU seconds for a million updates: median and range of the runs; frames of 10 left and right; logarithmic',
    ),
  );
  return svg(width, height, 'What an update costs the relay and its peers', parts);
}

function legend(series, x) {
  return `${drawn(
    series,
    [
      { x, median: 16 },
      { x: x + 24, median: 16 },
    ].map(exact),
  )}${text(x + 34, 16, series.name, `fill="${series.color}"`)}`;
}

function exact({ x, median }) {
  return { x, least: median, median, most: median };
}

function mapped({ least, median, most }, yOf) {
  return { least: yOf(least), median: yOf(median), most: yOf(most) };
}

function drawn({ color, dashed, mark }, points) {
  const path = points.map(({ x, median }, at) => `${at === 0 ? 'M' : 'L'}${x} ${median}`).join('');
  const ranges = points.map(({ x, least, most }) => `M${x} ${least}V${most}`).join('');
  return (
    `<g stroke="${color}" fill="${dashed ? 'none' : color}">` +
    `<path d="${path}" fill="none" stroke-width="1.5" ${dashed ? 'stroke-dasharray="4 3"' : ''}/>` +
    `<path d="${ranges}" stroke-opacity=".5"/>` +
    points.map(({ x, median }) => mark(x, median)).join('') +
    '</g>'
  );
}

function circle(x, y) {
  return `<circle cx="${x}" cy="${y}" r="3.5"/>`;
}

function square(x, y) {
  return `<path d="M${x - 3} ${y - 3}h6v6h-6z"/>`;
}

function grid(left, bottom, x, y, xOf, yOf, labelled) {
  const line = (path) => `<path d="${path}" stroke="${INK}" stroke-opacity=".3"/>`;
  return [
    ...ticks(x).map(
      (tick) =>
        line(`M${xOf(tick)} ${bottom}v${-HEIGHT}`) +
        text(xOf(tick), bottom + 16, short(tick), 'text-anchor="middle"'),
    ),
    ...ticks(y).map(
      (tick) =>
        line(`M${left} ${yOf(tick)}h${WIDTH}`) +
        (labelled ? text(left - 8, yOf(tick), short(tick), 'text-anchor="end"') : ''),
    ),
  ];
}

/** Whole powers of ten around all of `values`; what is a hundredth off lies on one. */
function range(values) {
  const logarithms = values.filter((value) => value > 0).map((value) => Number(Math.log10(value).toFixed(2)));
  return { first: Math.floor(Math.min(...logarithms)), last: Math.ceil(Math.max(...logarithms)) };
}

function ticks({ first, last }) {
  return Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at));
}

function place(start, { first, last }, value, length) {
  return Number((start + (powers(value, first, last) / (last - first)) * length).toFixed(1));
}
