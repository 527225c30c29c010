// A plain SVG with a logarithmic axis: costs from a tenth of a microsecond to milliseconds in one picture.

/** Both read on GitHub's light and dark pages: an image cannot know which it stands on. */
const INK = '#768390';
const ACCENT = '#e8590c';

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
        text(x.of(tick), bottom + 16, tick < 1_000 ? tick : `${tick / 1_000}k`, 'text-anchor="middle"'),
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
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="${INK}">
<title>What a traced write costs: ${names.join(', ')}</title>
${[...labels, ...drawn].join('\n')}
${text(LABELS, height - 12, note)}
</svg>
`;
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
      const power = Math.min(last, Math.max(first, value > 0 ? Math.log10(value) : first));
      return Number((left + (power - first) * step).toFixed(1));
    },
  };
}

function text(x, y, content, attributes = '') {
  return `<text x="${x}" y="${y}" dominant-baseline="middle" ${attributes}>${content}</text>`;
}

function fill(highlighted) {
  return highlighted ? `fill="${ACCENT}"` : '';
}
