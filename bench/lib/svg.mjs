/** Both read on GitHub's light and dark pages: an image cannot know which it stands on. */
export const INK = '#768390';
export const ACCENT = '#e8590c';

export function svg(width, height, title, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="${INK}">
<title>${title}</title>
${parts.join('\n')}
</svg>
`;
}

export function text(x, y, content, attributes = '') {
  return `<text x="${x}" y="${y}" dominant-baseline="middle" ${attributes}>${content}</text>`;
}

/** `1k` for a thousand, `1M` for a million. */
export function short(value) {
  if (value < 1_000) return value;
  return value < 1_000_000 ? `${value / 1_000}k` : `${value / 1_000_000}M`;
}

/** Of a logarithmic axis: how many powers of ten `value` lies above `first`, none below it, `last` at the most. */
export function powers(value, first, last) {
  return Math.min(last, Math.max(first, value > 0 ? Math.log10(value) : first)) - first;
}
