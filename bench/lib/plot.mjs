// A plain SVG with a logarithmic axis: costs from a tenth of a microsecond to milliseconds in one picture.

import { ACCENT, INK, powers, short, svg, text } from './svg.mjs';

const LABELS = 170;
const PANEL = 225;
const GAP = 25;
/** Room in a panel for the last value's text. */
const TEXT = 45;
const ROW = 20;
const GROUP = 30;
const HEAD = 40;
const FOOT = 48;

/**
 * @param {{ title: string, groups: { name: string, spreads: { least: number, median: number, most: number }[] }[] }[]}
 *   panels side by side; each group has a spread for each of `names`
 * @param {string[]} names
 * @param {string} highlighted one of them
 */
export function plot(panels, names, highlighted) {
  const groups = panels[0].groups.map(({ name }) => name);
  const groupHeight = GROUP + names.length * ROW;
  const width = LABELS + panels.length * (PANEL + GAP);
  const bottom = HEAD + groups.length * groupHeight;
  const y = (group, row) => HEAD + group * groupHeight + GROUP + (row + 0.5) * ROW;
  const labels = groups.flatMap((name, group) => [
    text(0, y(group, -0.9), name, 'font-weight="bold"'),
    ...names.map((name, row) =>
      text(LABELS - 12, y(group, row), name, `text-anchor="end" ${fill(name === highlighted)}`),
    ),
  ]);
  const drawn = panels.map((panel, at) => {
    const x = scale(panel, LABELS + at * (PANEL + GAP));
    const ticks = x.ticks.map(
      (tick) =>
        `<path d="M${x.of(tick)} ${HEAD}V${bottom + 4}" stroke="${INK}" stroke-opacity=".3"/>` +
        text(x.of(tick), bottom + 16, short(tick), 'text-anchor="middle"'),
    );
    const marks = panel.groups.flatMap(({ spreads }, group) =>
      spreads.map((spread, row) => mark(x, y(group, row), spread, names[row] === highlighted)),
    );
    return [text(x.of(x.ticks[0]), HEAD / 2, panel.title, 'font-weight="bold"'), ...ticks, ...marks].join(
      '\n',
    );
  });
  const height = bottom + FOOT;
  const note = 'µs a write on top of a plain atom: median of the pages, line from least to most; logarithmic';
  return svg(width, height, `What a traced write costs: ${names.join(', ')}`, [
    ...labels,
    ...drawn,
    text(LABELS, height - 12, note),
  ]);
}

function mark(x, y, { least, median, most }, highlighted) {
  const digits = Math.abs(median) < 10 ? 1 : 0;
  return (
    `<g ${fill(highlighted)}>` +
    `<path d="M${x.of(least)} ${y}H${x.of(most)}" stroke="${highlighted ? ACCENT : INK}" stroke-width="2"/>` +
    `<circle cx="${x.of(median)}" cy="${y}" r="4"/>` +
    text(x.of(most) + 8, y, Number(median.toFixed(digits)).toLocaleString('en')) +
    '</g>'
  );
}

/** Powers of ten around all medians; what lies outside stands at the edge. */
function scale({ groups }, left) {
  const medians = groups.flatMap(({ spreads }) => spreads.map(({ median }) => median));
  const positive = medians.filter((median) => median > 0);
  const first = Math.max(-1, Math.floor(Math.log10(Math.min(...positive))));
  const last = Math.ceil(Math.log10(Math.max(...positive)));
  const step = (PANEL - TEXT) / (last - first);
  return {
    ticks: Array.from({ length: last - first + 1 }, (_, at) => Number(`1e${first + at}`)),
    of(value) {
      return Number((left + powers(value, first, last) * step).toFixed(1));
    },
  };
}

function fill(highlighted) {
  return highlighted ? `fill="${ACCENT}"` : '';
}
