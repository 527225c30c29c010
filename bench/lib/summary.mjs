export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { least: sorted[0], median: median(sorted), most: sorted.at(-1) };
}

/** `median (least–most)` of several runs. */
export function summary(values, digits) {
  const { least, median, most } = spread(values);
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
